"""The keys that the commands use: made or given once, kept in a file that only its owner can read, or in a Secret.

``{"local": {"test": {"js": {"consumer_key": ...}, "all": {"consumer_key": ..., "consumer_secret": ...}}}}``: by server,
client and scope; ``local`` is the home's own proxy, at whatever port.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from serving.deploy.home import write_text
from serving.deploy.locks import taking_turns
from serving.errors import DeployError

LOCAL = "local"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

Pair = dict[str, str]
_FORMAT = TypeAdapter(dict[str, dict[str, dict[str, Pair]]])


def section(server: str) -> str:
    """Return under what name a server's keys are kept."""
    return LOCAL if urlsplit(server).hostname in LOOPBACK else server.rstrip("/")


class Keys(Protocol):
    """Where the keys for one server are kept."""

    place: str

    def get(self, client: str, scope: str) -> Pair | None:
        """Return a client's key of a scope."""

    def put(self, client: str, scope: str, pair: Pair) -> None:
        """Keep a key."""

    def drop(self, client: str, scope: str | None = None) -> None:
        """Forget a client's keys, or that of a scope."""


class Held:
    """Keys in memory."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, dict[str, Pair]]] = {}

    @classmethod
    def parse(cls, text: bytes, where: str) -> Self:
        """Read what ``text`` wrote, or raise a DeployError that says what is wrong with it."""
        held = cls()
        try:
            held._held = _FORMAT.validate_json(text)
        except ValidationError as error:
            problem = error.errors()[0]
            path = ".".join(str(part) for part in problem["loc"])
            raise DeployError(f"cannot read {where}: {path}: {problem['msg']}; without it, new keys are made") from None
        return held

    def text(self) -> str:
        """Return them as JSON."""
        return json.dumps(self._held, indent=2) + "\n"

    def get(self, where: str, client: str, scope: str) -> Pair | None:
        """Return a client's key of a scope."""
        return self._held.get(where, {}).get(client, {}).get(scope)

    def put(self, where: str, client: str, scope: str, pair: Pair) -> None:
        """Keep a key."""
        self._held.setdefault(where, {}).setdefault(client, {})[scope] = pair

    def drop(self, where: str, client: str, scope: str | None = None) -> None:
        """Forget a client's keys, or that of a scope."""
        if scope is None:
            self._held.get(where, {}).pop(client, None)
        else:
            self._held.get(where, {}).get(client, {}).pop(scope, None)


class Credentials:
    """The file; it is read at once, and each change is made to what is there at that moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = self._read()

    def get(self, where: str, client: str, scope: str) -> Pair | None:
        """Return a client's key of a scope."""
        return self._held.get(where, client, scope)

    def put(self, where: str, client: str, scope: str, pair: Pair) -> None:
        """Keep a key."""
        with self._changing():
            self._held.put(where, client, scope, pair)

    def drop(self, where: str, client: str, scope: str | None = None) -> None:
        """Forget a client's keys, or that of a scope."""
        if self._path.exists():
            with self._changing():
                self._held.drop(where, client, scope)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Read the file anew and write it if it has changed; another process that changes it waits."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with taking_turns(self._path.with_name(f"{self._path.name}.lock"), lambda line: None):  # noqa: ARG005
                self._held = self._read()
                before = self._held.text()
                yield
                if self._held.text() != before:
                    write_text(self._path, self._held.text())
        except OSError as error:
            raise DeployError(f"cannot write {self._path}: {error.strerror}") from error

    def _read(self) -> Held:
        try:
            return Held.parse(self._path.read_bytes(), str(self._path))
        except FileNotFoundError:
            return Held()
        except OSError as error:
            raise DeployError(f"cannot read {self._path}: {error.strerror}") from error


class FileKeys:
    """The keys for one server, in the file."""

    def __init__(self, path: Path, server: str) -> None:
        self.place = str(path)
        self._path = path
        self._where = section(server)

    def get(self, client: str, scope: str) -> Pair | None:
        """Return a client's key of a scope."""
        return Credentials(self._path).get(self._where, client, scope)

    def put(self, client: str, scope: str, pair: Pair) -> None:
        """Keep a key."""
        Credentials(self._path).put(self._where, client, scope, pair)

    def drop(self, client: str, scope: str | None = None) -> None:
        """Forget a client's keys, or that of a scope."""
        Credentials(self._path).drop(self._where, client, scope)
