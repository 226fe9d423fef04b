"""Keys of clients that were made elsewhere, as a cluster's secret: the database learns of them, in digests."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from serving.errors import SettingsError
from serving.proxy import store
from serving.proxy.access import GIVEN_KEY_LENGTH, is_random
from serving.proxy.bodies import check_name
from serving.proxy.secrets import digest, hint
from serving.proxy.tables import Client, Key

SETTING = "INLIER_CREDENTIALS"


def _check_random(key: str) -> str:
    if not is_random(key):
        raise ValueError(f"should be {GIVEN_KEY_LENGTH} or more random ASCII characters")
    return key


Random = Annotated[str, AfterValidator(_check_random)]


class _JsPair(BaseModel):
    model_config = ConfigDict(extra="forbid")
    consumer_key: Random


class _AllPair(_JsPair):
    consumer_secret: Random


class _Pairs(BaseModel):
    model_config = ConfigDict(extra="forbid")
    js: _JsPair | None = None
    all: _AllPair | None = None


_FORMAT = TypeAdapter(dict[Literal["local"], dict[Annotated[str, AfterValidator(check_name)], _Pairs]])


def put_credentials(session: Session, text: str) -> None:
    """Make clients and their keys known, as the file ``credentials`` has them; what is known already stays.

    Raises
    ------
    SettingsError
        When the text is not of that format, or a key is another client's or could be guessed.
    """
    for name, pairs in _read(text).get("local", {}).items():
        client = session.scalar(select(Client).where(Client.name == name)) or store.add_client(session, name)
        if pairs.js is not None:
            _put(session, client, "js", pairs.js.consumer_key, None)
        if pairs.all is not None:
            _put(session, client, "all", pairs.all.consumer_key, pairs.all.consumer_secret)


def _read(text: str) -> dict[Literal["local"], dict[str, _Pairs]]:
    try:
        return _FORMAT.validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]  # no key in a log
        where = "".join(f".{part}" for part in problem["loc"])
        raise SettingsError(f"{SETTING}{where}: {problem['msg']}") from None


def _put(session: Session, client: Client, scope: str, consumer_key: str, consumer_secret: str | None) -> None:
    secret_digest = None if consumer_secret is None else digest(consumer_secret)
    known = session.scalar(select(Key).where(Key.key_digest == digest(consumer_key)))
    if known is None:
        session.add(
            Key(
                client=client,
                scope=scope,
                key_digest=digest(consumer_key),
                secret_digest=secret_digest,
                hint=hint(consumer_key),
                created_at=datetime.now(UTC),
            )
        )
        session.flush()
    elif (known.client_id, known.scope) != (client.id, scope):
        raise SettingsError(f"{SETTING}: the key {known.hint}... of {client.name!r} is another's already")
    else:
        known.secret_digest = secret_digest
