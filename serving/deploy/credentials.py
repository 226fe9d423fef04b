"""The keys that the commands use: made or given once, kept in a file that only its owner can read.

``{"local": {"test": {"js": {"consumer_key": ...}, "all": {"consumer_key": ..., "consumer_secret": ...}}}}``: by server,
client and scope; ``local`` is the home's own proxy, at whatever port.
"""

import json
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from serving.deploy.home import write_text
from serving.errors import DeployError

LOCAL = "local"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

Pair = dict[str, str]
_FORMAT = TypeAdapter(dict[str, dict[str, dict[str, Pair]]])


def section(server: str) -> str:
    """Return under what name a server's keys are kept."""
    return LOCAL if urlsplit(server).hostname in LOOPBACK else server.rstrip("/")


class Credentials:
    """The file; it is read at once and written with every change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._held = _FORMAT.validate_json(path.read_bytes())
        except FileNotFoundError:
            self._held = {}
        except OSError as error:
            raise DeployError(f"cannot read {path}: {error.strerror}") from error
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise DeployError(f"cannot read {path}: {where}: {problem['msg']}; without it, new keys are made") from None

    def get(self, where: str, client: str, scope: str) -> Pair | None:
        """Return a client's key of a scope."""
        return self._held.get(where, {}).get(client, {}).get(scope)

    def put(self, where: str, client: str, scope: str, pair: Pair) -> None:
        """Keep a key."""
        self._held.setdefault(where, {}).setdefault(client, {})[scope] = pair
        self._write()

    def drop(self, where: str, client: str) -> None:
        """Forget a client's keys."""
        if self._held.get(where, {}).pop(client, None) is not None:
            self._write()

    def _write(self) -> None:
        try:
            write_text(self._path, json.dumps(self._held, indent=2) + "\n")
        except OSError as error:
            raise DeployError(f"cannot write {self._path}: {error.strerror}") from error
