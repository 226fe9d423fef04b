"""A folder as Celery's broker: no server to install.

kombu's own folder transport opens a message's file before it writes it, so that readers see empty ones, and an empty
one stops a worker. Here a message is written beside and renamed, taken by a rename that only one reader can make, and
what is no message is dropped: the task table knows what it was about, and the reaper sends it again.

::

    <folder>/queues/<queue>/<nanoseconds>-<random>.json     waiting, in the order of their names
    <folder>/parts/                                         being written
    <folder>/taken/                                         being read
"""

import json
import logging
import secrets
import time
from collections import deque
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, virtual

log = logging.getLogger(__name__)

ALIAS = "inlier-folder"
POLL_SECONDS = 0.05
DRAIN_SECONDS = 0.25
SUFFIX = ".json"


class Channel(virtual.Channel):
    """Queues as folders of files."""

    supports_fanout = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        root = Path(self.connection.client.transport_options["folder"])
        self._queues, self._parts, self._taken = root / "queues", root / "parts", root / "taken"
        self._listed: dict[str, deque[str]] = {}
        for folder in (self._queues, self._parts, self._taken):
            folder.mkdir(parents=True, exist_ok=True)

    def _folder(self, queue: str) -> Path:
        if not queue or queue.startswith(".") or "/" in queue or "\0" in queue:
            raise ChannelError(f"a queue cannot be called {queue!r}")
        return self._queues / queue

    def _new_queue(self, queue: str, **kwargs: Any) -> None:  # noqa: ARG002
        self._folder(queue).mkdir(exist_ok=True)

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:  # noqa: ARG002
        return self._folder(queue).is_dir()

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:  # noqa: ARG002
        name = f"{time.time_ns():020d}-{secrets.token_hex(8)}{SUFFIX}"
        part = self._parts / name
        try:
            part.write_text(json.dumps(message), encoding="utf-8")
            part.rename(self._folder(queue) / name)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ChannelError(f"cannot put a message into {self._queues}: {error.strerror}") from error

    def _get(self, queue: str, timeout: Any = None) -> Any:  # noqa: ARG002
        listed = self._listed.setdefault(queue, deque())
        if not listed:
            listed.extend(self._names(queue))
        while listed:
            text = self._take(queue, listed.popleft())
            if text is not None and (message := _parse(text)) is not None:
                return message
        raise Empty

    def _names(self, queue: str) -> list[str]:
        try:
            return sorted(path.name for path in self._folder(queue).iterdir() if path.suffix == SUFFIX)
        except FileNotFoundError:
            return []

    def _take(self, queue: str, name: str) -> bytes | None:
        taken = self._taken / name
        try:
            (self._folder(queue) / name).rename(taken)
        except FileNotFoundError:  # another worker was faster
            return None
        except OSError as error:
            raise ChannelError(f"cannot take a message from {self._queues}: {error.strerror}") from error
        text = taken.read_bytes()
        taken.unlink()
        return text

    def _size(self, queue: str) -> int:
        return len(self._names(queue))

    def _purge(self, queue: str) -> int:
        return sum(self._take(queue, name) is not None for name in self._names(queue))

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self._purge(queue)


def _parse(text: bytes) -> dict[str, Any] | None:
    """Return a message, or None for what would stop a worker."""
    try:
        message = json.loads(text)
        if isinstance(message["properties"]["delivery_info"], dict) and isinstance(message["body"], str):
            return message  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    log.error("dropped a message that is none: %r", text[:80])
    return None


class Transport(virtual.Transport):
    """The transport that ``filesystem://`` means to Inlier."""

    Channel = Channel
    implements = virtual.Transport.implements.extend(asynchronous=False, exchange_type=frozenset(["direct"]))
    driver_type = "folder"
    driver_name = "folder"
    polling_interval = POLL_SECONDS

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Wait for messages, but not for long at a time: Celery looks only in between whether it is to stop."""
        shorter = DRAIN_SECONDS if timeout is None else min(timeout, DRAIN_SECONDS)
        return super().drain_events(connection, timeout=shorter, **kwargs)  # type: ignore[no-untyped-call]

    def driver_version(self) -> str:
        """Return what stands in for the version of a driver."""
        return "1"


def register() -> None:
    """Let kombu find it under its alias."""
    TRANSPORT_ALIASES[ALIAS] = f"{__name__}:{Transport.__name__}"
