"""What a home needs before its proxy starts: the schema, the client ``test``, and keys that the commands find."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from serving.deploy.credentials import LOCAL, Credentials, Pair
from serving.proxy import store
from serving.proxy.database import Database
from serving.proxy.schema import lock_schema, upgrade
from serving.proxy.secrets import digest
from serving.proxy.tables import SCOPES, Client, Key


def first_start(database: Database, credentials: Credentials) -> None:
    """Make what is missing; safe to run again."""
    upgrade(database)
    with database.writing() as session:
        client = first_client(session)
        made = {
            scope: store.add_key(session, client, scope)
            for scope in SCOPES
            if not _good(session, client, credentials.get(LOCAL, client.name, scope))
        }
    for scope, key in made.items():
        pair = {"consumer_key": key.consumer_key}
        if key.consumer_secret is not None:
            pair["consumer_secret"] = key.consumer_secret
        credentials.put(LOCAL, store.FIRST_CLIENT, scope, pair)


def first_client(session: Session) -> Client:
    """Return the client ``test``, made if it is not there; of several processes that make it, one does."""
    lock_schema(session.connection())
    client = session.scalar(select(Client).where(Client.name == store.FIRST_CLIENT))
    return client or store.add_client(session, store.FIRST_CLIENT)


def _good(session: Session, client: Client, pair: Pair | None) -> bool:
    """Tell whether a kept key is one that the database knows: either may have been lost."""
    if pair is None:
        return False
    query = select(Key.id).where(Key.client_id == client.id, Key.key_digest == digest(pair["consumer_key"]))
    return session.scalar(query) is not None
