"""The folder of a system on one machine, and who holds it.

::

    inlier.db                 clients, keys, variations, tasks
    credentials               keys for the commands, readable by the owner alone; credentials.lock is held by who writes
    up.json                   while `inlier up` runs: its address, its process, its supervisor's socket
    up.lock, deploy.lock      held by `inlier up`, and by a start-microservice at work
    supervisord.conf          written anew with every change
    microservices/            one file for each that is declared, ``<name>.<version>.json``
    models/                   the model file of each, ``<name>.<version>/``; those of built-in detectors, ``builtin/``
    storage/                  files that people put there, and what tasks make of them
    broker/                   messages to the worker: which task is next
    examples                  an empty file, once the examples have been put into the storage
    logs/                     of everything, rotated
"""

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from serving.errors import DeployError

SOCKET_LIMIT = 90  # of the 108 bytes of a socket's path; supervisord binds to a longer name first
PLAIN_PATH = re.compile(r"[\w./-]+", re.ASCII)


@dataclass(frozen=True)
class Running:
    """What a running `inlier up` says of itself."""

    pid: int
    host: str
    port: int
    socket: str

    @property
    def server(self) -> str:
        """Return the proxy's address, as a command on this machine calls it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self.port}"


class Home:
    """The folder; nothing is made before ``prepare``."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.credentials = self.path / "credentials"
        self.config = self.path / "supervisord.conf"
        self.microservices = self.path / "microservices"
        self.models = self.path / "models"
        self.storage = self.path / "storage"
        self.examples = self.path / "examples"
        self.logs = self.path / "logs"
        self._state = self.path / "up.json"

    def prepare(self) -> None:
        """Make the folders."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.microservices, self.models, self.storage, self.logs):
                folder.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise DeployError(
                f"cannot write to {self.path}: {error.strerror}; --home or INLIER_HOME moves it"
            ) from None

    @contextmanager
    def lock(self, name: str, *, wait: bool) -> Iterator[None]:
        """Hold a lock of the home; the system lets go of it whatever becomes of this process.

        Raises
        ------
        BlockingIOError
            Another process holds it, and ``wait`` is false.
        """
        handle = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield
        finally:
            os.close(handle)

    def running(self) -> Running | None:
        """Return what a running `inlier up` wrote, or None when there is none."""
        try:
            running = Running(**json.loads(self._state.read_text()))
            os.kill(running.pid, 0)
            with self.lock("up.lock", wait=False):
                return None  # it has gone without a word
        except BlockingIOError:
            return running
        except (OSError, ValueError, TypeError):
            return None

    def announce(self, running: Running) -> None:
        """Write what others need to know of this `inlier up`."""
        write_text(self._state, json.dumps(asdict(running)))

    def withdraw(self) -> None:
        """Take back what ``announce`` wrote."""
        self._state.unlink(missing_ok=True)

    def socket(self) -> Path:
        """Return where supervisord's socket goes: here, or in a private folder when this path is long or odd."""
        here = self.path / "supervisor.sock"
        if len(os.fsencode(here)) <= SOCKET_LIMIT and PLAIN_PATH.fullmatch(str(here)):
            return here
        folder = private_folder()
        return folder / f"{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]}.sock"


def private_folder() -> Path:
    """Return a folder of this user's for sockets and locks, which nobody else may enter; $TMPDIR may be too long."""
    folder = Path("/tmp") / f"inlier-{os.getuid()}"  # noqa: S108  # checked below
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o77 or folder.is_symlink():
        raise DeployError(f"{folder} should be a folder of yours that no one else may enter")
    return folder


def write_text(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file in one step: who reads it sees the old or the new, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            os.fchmod(handle, mode)
            stream.write(text)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
