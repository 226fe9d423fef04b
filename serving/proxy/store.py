"""Clients, keys, tokens and variations in the database: what is asked of them, in one place."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from serving.errors import Conflict, NotAllowed, NotFound, NotRecognised
from serving.proxy.bodies import DNS_LABEL, VariationBody
from serving.proxy.database import Database
from serving.proxy.secrets import digest, hint, new_secret
from serving.proxy.tables import Client, Key, Token, UtcDateTime, Variation

FIRST_CLIENT = "test"


@dataclass(frozen=True)
class NewKeyPair:
    """A key just made, the only time it can be read."""

    id: int
    scope: str
    consumer_key: str
    consumer_secret: str | None


def find_client(session: Session, name: str, *, to_change: bool = False) -> Client:
    """Return a client by its name; of several that change what it has, each waits for the one before."""
    known = DNS_LABEL.fullmatch(name) is not None  # PostgreSQL takes no NUL, not even to say that it is not there
    query = select(Client).where(Client.name == name)
    client = session.scalar(query.with_for_update() if to_change else query) if known else None
    if client is None:
        raise NotFound(f"there is no client {name[:80]!r}")
    return client


def add_client(session: Session, name: str) -> Client:
    """Make a client."""
    if session.scalar(select(Client.id).where(Client.name == name)) is not None:
        raise Conflict(f"there is already a client {name!r}")
    client = Client(name=name, created_at=datetime.now(UTC))
    session.add(client)
    try:
        session.flush()
    except IntegrityError:  # another request with the same name was in between
        raise Conflict(f"there is already a client {name!r}") from None
    return client


def add_key(session: Session, client: Client, scope: str) -> NewKeyPair:
    """Make a key for a client; a key of scope ``all`` comes with a secret."""
    consumer_key = new_secret()
    consumer_secret = new_secret() if scope == "all" else None
    key = Key(
        client=client,
        scope=scope,
        key_digest=digest(consumer_key),
        secret_digest=digest(consumer_secret) if consumer_secret else None,
        hint=hint(consumer_key),
        created_at=datetime.now(UTC),
    )
    session.add(key)
    session.flush()
    return NewKeyPair(key.id, scope, consumer_key, consumer_secret)


def delete_key(session: Session, client: Client, key_id: int) -> None:
    """Delete a client's key, and with it the tokens it gave."""
    key = next((key for key in client.keys if key.id == key_id), None)
    if key is None:
        raise NotFound(f"client {client.name!r} has no key {key_id}")
    session.delete(key)


def replace_variations(session: Session, client: Client, variations: Sequence[VariationBody]) -> None:
    """Put a client's variations in the place of all it had."""
    session.execute(delete(Variation).where(Variation.client_id == client.id))
    session.add_all(Variation(client_id=client.id, **variation.model_dump()) for variation in variations)
    session.flush()


def move_variations(session: Session, moved: dict[str, str]) -> None:
    """Let every client's variations follow microservices that have moved, old URL to new."""
    # Row by row: a URL may be both an old and a new one
    query = select(Variation).where(Variation.url.in_(moved)).order_by(Variation.id)
    for variation in session.scalars(query.with_for_update()).all():  # one that is replaced meanwhile is not there
        variation.url = moved[variation.url]


def add_token(session: Session, consumer_key: str, consumer_secret: str, seconds: int) -> str:
    """Give a token for a key of scope ``all`` and its secret; tokens that have expired are cleared away."""
    key = session.scalar(select(Key).where(Key.key_digest == digest(consumer_key)))
    if key is None:
        raise NotRecognised("the consumer_key is not known")
    if key.secret_digest is None:
        raise NotAllowed(f"this consumer_key is of scope {key.scope!r}; a token needs one of scope 'all'")
    if not hmac.compare_digest(key.secret_digest, digest(consumer_secret)):
        raise NotRecognised("the consumer_secret is wrong")
    now = datetime.now(UTC)
    session.execute(
        delete(Token).where(Token.expires_at <= now).execution_options(synchronize_session=False),
    )
    token = new_secret()
    session.add(Token(key=key, token_digest=digest(token), expires_at=now + timedelta(seconds=seconds)))
    return token


_OF_CLIENT = (Variation.label, Variation.ratio, Variation.kind, Variation.url, Variation.model_name)
_BY_KEY = (
    select(Key.scope, Client.name, *_OF_CLIENT)
    .join(Client, Client.id == Key.client_id)
    .outerjoin(Variation, Variation.client_id == Client.id)
    .order_by(Variation.id)
)
# Made once: building a statement takes as long as running it
_BY_CONSUMER_KEY = _BY_KEY.where(Key.key_digest == bindparam("digest"))
_BY_TOKEN = _BY_KEY.join(Token, Token.key_id == Key.id).where(
    Token.token_digest == bindparam("digest"), Token.expires_at > bindparam("now", type_=UtcDateTime())
)
_LABELS = select(Client.name, Variation.label).join(Variation, Variation.client_id == Client.id)


@dataclass(frozen=True, slots=True)
class Route:
    """A variation as the gateway needs it."""

    label: str
    ratio: float
    kind: str
    url: str
    model_name: str | None


def _routes(rows: list[tuple[Any, ...]]) -> tuple[str, list[Route]]:
    """Return the client's name and its variations; the outer join has one empty row for a client without any."""
    return rows[0][1], [Route(*row[2:]) for row in rows if row[2] is not None]


def routes_by_key(database: Database, consumer_key: str) -> tuple[str, list[Route]]:
    """Return the client's name and its variations for a key of scope ``js``."""
    rows = database.look_up(_BY_CONSUMER_KEY, digest=digest(consumer_key))
    if not rows:
        raise NotRecognised("the consumer_key is not known")
    if rows[0][0] != "js":
        raise NotAllowed(f"this consumer_key is of scope {rows[0][0]!r}; /js/predict needs one of scope 'js'")
    return _routes(rows)


def routes_by_token(database: Database, oauth_token: str) -> tuple[str, list[Route]]:
    """Return the client's name and its variations for a token that has not expired."""
    rows = database.look_up(_BY_TOKEN, digest=digest(oauth_token), now=datetime.now(UTC))
    if not rows:
        raise NotRecognised("the oauth_token is not known or has expired; /token gives a new one")
    return _routes(rows)


def labels(database: Database) -> list[tuple[Any, ...]]:
    """Return client and label of every variation."""
    return database.look_up(_LABELS)
