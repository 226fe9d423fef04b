"""Who may do what with the proxy's own API: keys with roles.

====== =====================================================================================================
read   look at tasks, models and files, and download them
run    also submit, cancel and forget tasks, put and delete files and models
admin  also look after clients and keys
====== =====================================================================================================

On the loopback address no keys are asked for, unless INLIER_PROXY_ACCESS is ``keys``; on any other the proxy does not
start without them, unless that is ``open``. Probes, the OpenAPI document and
the gateway, whose clients have keys of their own, are open to all.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Flask, request
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from serving.deploy.addresses import is_loopback
from serving.errors import Conflict, NotAllowed, NotFound, NotRecognised, SettingsError
from serving.proxy.database import Database
from serving.proxy.secrets import digest, hint, new_secret
from serving.proxy.tables import ApiKey
from serving.settings import ProxySettings

ROLES = ("read", "run", "admin")
OPEN_PATHS = ("/health/", "/openapi.json", "/docs", "/js/predict", "/token", "/predict")
ADMIN_PATHS = ("/clients",)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
GIVEN_ROLES = {"admin": "admin", "metrics": "read", "reader": "read"}
"""The API keys that are made elsewhere and known from settings: INLIER_ADMIN_KEY and so on."""
GIVEN_KEY_LENGTH = 32
REMEMBERED_SECONDS = 5.0
"""How long a deleted key may still work in a process that has just seen it."""


def needed_role(method: str, path: str) -> str | None:
    """Return the least role for a request; None is everybody.

    Examples
    --------
    >>> needed_role("GET", "/files/a.csv"), needed_role("POST", "/anomaly_detection/train"), needed_role("GET", "/docs")
    ('read', 'run', None)
    """
    if any(path == known or (known.endswith("/") and path.startswith(known)) for known in OPEN_PATHS):
        return None
    if any(path == known or path.startswith(f"{known}/") for known in ADMIN_PATHS):
        return "admin"
    return "read" if method in SAFE_METHODS else "run"


def add_key(session: Session, name: str, role: str) -> str:
    """Make a key and return it, the only time that it can be read.

    Raises
    ------
    Conflict
        When there is one of that name.
    """
    if session.scalar(select(ApiKey.id).where(ApiKey.name == name)) is not None:
        raise Conflict(f"there is already a key {name!r}")
    key = new_secret()
    session.add(ApiKey(name=name, role=role, key_digest=digest(key), hint=hint(key), created_at=datetime.now(UTC)))
    return key


def put_key(session: Session, name: str, key: str) -> None:
    """Make a key that was made elsewhere the key of a name, in place of an earlier one of that name.

    Raises
    ------
    SettingsError
        When it could be guessed, or is another's.
    """
    setting, key = f"INLIER_{name.upper()}_KEY", key.strip()  # as they are read from the header
    if not is_random(key):
        raise SettingsError(f"{setting} should be {GIVEN_KEY_LENGTH} or more random ASCII characters")
    known = session.scalar(select(ApiKey.name).where(ApiKey.key_digest == digest(key)))
    if known == name:
        return
    if known is not None:
        raise SettingsError(f"{setting} is the API key {known!r} already")
    session.execute(delete(ApiKey).where(ApiKey.name == name))
    role, moment = GIVEN_ROLES[name], datetime.now(UTC)
    session.add(ApiKey(name=name, role=role, key_digest=digest(key), hint=hint(key), created_at=moment))
    session.flush()


def is_random(key: str) -> bool:
    """Tell whether a key that was made elsewhere looks as if nobody could guess it.

    Examples
    --------
    >>> is_random("password"), is_random("a" * 40), is_random("q7Vb2JxTzK0uYdWmR4sNfGhLpEoCiA9k")
    (False, False, True)
    """
    carried = key.isascii() and key.isprintable()  # by a header
    return carried and len(key) >= GIVEN_KEY_LENGTH and len(set(key)) >= GIVEN_KEY_LENGTH // 4


def all_keys(session: Session) -> Sequence[ApiKey]:
    """Return all keys, by name."""
    return session.scalars(select(ApiKey).order_by(ApiKey.name)).all()


def delete_key(session: Session, name: str) -> None:
    """Delete a key.

    Raises
    ------
    NotFound
        When there is none of that name.
    """
    if session.scalar(select(ApiKey.id).where(ApiKey.name == name)) is None:
        raise NotFound(f"there is no key {name[:80]!r}")
    session.execute(delete(ApiKey).where(ApiKey.name == name))


def has_keys(session: Session) -> bool:
    """Tell whether there is any key."""
    return bool(session.scalar(select(func.count()).select_from(ApiKey)))


class Roles:
    """The role of each key, remembered for a moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, tuple[float, str]] = {}

    def of(self, key: str) -> str | None:
        """Return the role of a key, None for one that is not known."""
        hashed, moment = digest(key), time.monotonic()
        until, role = self._seen.get(hashed, (0.0, ""))
        if moment < until:
            return role
        with self._database.reading() as connection:
            found = connection.scalar(select(ApiKey.role).where(ApiKey.key_digest == hashed))
        if found is None:
            self._seen.pop(hashed, None)
        else:
            self._seen[hashed] = moment + REMEMBERED_SECONDS, found
        return found


def refuse_everybody(host: str, settings: ProxySettings) -> None:
    """Refuse an address that other machines reach where no keys are asked for and nobody said that none should be.

    Raises
    ------
    SettingsError
        Then; it names the setting.
    """
    if settings.access == "open" and not settings.access_is_told and not is_loopback(host):
        raise SettingsError(
            f"{host} can be reached from other machines: INLIER_PROXY_ACCESS=keys asks for API keys (made by "
            "`inlier keys create NAME --role admin`), INLIER_PROXY_ACCESS=open lets everybody do everything"
        )


def register(app: Flask, database: Database, settings: ProxySettings) -> None:
    """Ask for keys, where the settings say so."""
    if settings.access == "open":
        return
    roles = Roles(database)

    @app.before_request
    def check() -> None:
        needed = needed_role(request.method, request.path)
        if needed is None:
            return
        held = roles.of(_bearer())
        if held is None:
            raise NotRecognised("the API key is not known")
        if ROLES.index(held) < ROLES.index(needed):
            raise NotAllowed(f"this API key is of role {held}; {request.method} here needs {needed}")


def _bearer() -> str:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise NotRecognised("an API key is needed: the header Authorization: Bearer <key>")
    return key.strip()
