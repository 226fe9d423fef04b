"""Locks of this machine: who comes second waits for the first, and is told so."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.deploy.runtime import Say
from serving.errors import DeployError

WAITING = "another start-microservice is at work; waiting for it ..."


@contextmanager
def taking_turns(path: Path, say: Say) -> Iterator[None]:
    """Hold a lock file; the system lets go of it whatever becomes of this process."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DeployError(f"cannot lock {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(WAITING)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
