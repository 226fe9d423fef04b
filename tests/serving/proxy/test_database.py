"""The way past SQLAlchemy gives what SQLAlchemy gives."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import bindparam, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from serving.errors import NotRecognised
from serving.proxy import store
from serving.proxy.app import create_app
from serving.proxy.bodies import VariationBody
from serving.proxy.database import Database, sqlite_url
from serving.proxy.schema import upgrade
from serving.proxy.secrets import digest
from serving.proxy.tables import Client, Token, Variation
from serving.settings import HomeSettings
from tests.databases import new_database
from training.storage import MemoryStorage

VARIATIONS = [
    VariationBody(label="inne", ratio=0.25, url="http://127.0.0.1:9000/predict", model_name="m"),
    VariationBody(label="rpc", ratio=0.75, url="grpc://127.0.0.1:5000", kind="rpc"),
]
ROUTES = [
    store.Route("inne", 0.25, "rest", "http://127.0.0.1:9000/predict", "m"),
    store.Route("rpc", 0.75, "rpc", "grpc://127.0.0.1:5000", None),
]
END_ALL_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request, tmp_path, migrated):
    if request.param == "sqlite":
        database = Database(sqlite_url(shutil.copy(migrated, tmp_path / "inlier.db")))
        yield database
        database.close()
        return
    with new_database() as url:
        database = Database(url)
        upgrade(database)
        yield database
        database.close()


@pytest.fixture
def keys(either):
    with either.writing() as session:
        client = store.add_client(session, "test")
        store.replace_variations(session, client, VARIATIONS)
        return {scope: store.add_key(session, client, scope) for scope in ("js", "all")}


def test_rows_are_those_that_sqlalchemy_gives(either, keys):
    query = (
        select(Client.name, Variation.label, Variation.ratio, Variation.model_name)
        .join(Variation)
        .where(Variation.ratio > bindparam("least"), Client.name == bindparam("name"))
        .order_by(Variation.id)
    )
    for least in (0.0, 0.5, 1.0):
        with either.reading() as connection:
            expected = connection.execute(query, {"least": least, "name": "test"}).all()
        found = either.look_up(query, least=least, name="test")
        assert [tuple(row) for row in found] == [tuple(row) for row in expected]


def test_routes(either, keys):
    assert store.routes_by_key(either, keys["js"].consumer_key) == ("test", ROUTES)
    with pytest.raises(NotRecognised):
        store.routes_by_key(either, keys["js"].consumer_key + "x")
    with either.writing() as session:
        store.replace_variations(session, store.find_client(session, "test"), [])
    assert store.routes_by_key(either, keys["js"].consumer_key) == ("test", [])  # at once


def test_a_token_is_good_until_its_time(either, keys):
    with either.writing() as session:
        token = store.add_token(session, keys["all"].consumer_key, keys["all"].consumer_secret, 60)
    assert store.routes_by_token(either, token) == ("test", ROUTES)
    for seconds, good in ((1, True), (-1, False)):
        with either.writing() as session:
            held = session.scalars(select(Token).where(Token.token_digest == digest(token))).one()
            held.expires_at = datetime.now(UTC) + timedelta(minutes=seconds)
        if good:
            assert store.routes_by_token(either, token)[0] == "test"
        else:
            with pytest.raises(NotRecognised):
                store.routes_by_token(either, token)


@pytest.fixture
def while_open(either, tmp_path):
    """Ask the client API while a transaction is not ended yet; returns what it answers then."""
    http = create_app(database=either, home=HomeSettings(home=tmp_path), storage=MemoryStorage()).test_client()
    with ThreadPoolExecutor(1) as pool:

        def ask(method, path, **more):
            asked = pool.submit(http.open, path, method=method, **more)
            time.sleep(0.3)  # it is at the database by now
            return asked

        yield ask


def test_of_variations_put_at_once_the_later_stay(either, keys, while_open):
    with either.writing() as session:
        store.replace_variations(session, store.find_client(session, "test", to_change=True), VARIATIONS[::-1])
        body = {"variations": [each.model_dump() for each in VARIATIONS]}
        later = while_open("PUT", "/clients/test/variations", json=body)
    assert later.result().json == body
    assert store.routes_by_key(either, keys["js"].consumer_key) == ("test", ROUTES)


def test_what_a_client_has_goes_with_it_also_at_once(either, keys, while_open):
    with either.writing() as session:
        session.delete(store.find_client(session, "test", to_change=True))
        session.flush()
        later = while_open("POST", "/clients/test/keys", json={})
    assert later.result().status_code == 404


def test_of_clients_made_at_once_one_is(either, while_open):
    with either.writing() as session:
        store.add_client(session, "test")
        later = while_open("POST", "/clients", json={"name": "test"})
    assert later.result().status_code == 409
    assert later.result().json["error"]["message"] == "there is already a client 'test'"


def test_errors_are_sqlalchemys_and_tell_no_values(either, keys):
    with either.writing() as session:
        session.execute(text("ALTER TABLE keys RENAME TO elsewhere"))
    with pytest.raises((OperationalError, ProgrammingError), match="keys") as raised:
        store.routes_by_key(either, "SECRET")
    assert "SECRET" not in str(raised.value)
    assert digest("SECRET") not in str(raised.value)
    with either.writing() as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO keys"))
    assert store.routes_by_key(either, keys["js"].consumer_key)[0] == "test"


def test_a_database_that_cannot_be_reached(tmp_path):
    database = Database(sqlite_url(tmp_path / "nowhere" / "inlier.db"))
    with pytest.raises(OperationalError, match="unable to open"):
        store.routes_by_key(database, "key")


def test_a_connection_that_was_lost_is_replaced():
    with new_database() as url:
        database = Database(url, pool_size=1)
        upgrade(database)
        with database.writing() as session:
            key = store.add_key(session, store.add_client(session, "test"), "js").consumer_key
        for _ in range(8):  # psycopg prepares what it has been asked five times
            assert store.routes_by_key(database, key) == ("test", [])
        other = Database(url)
        with other.writing() as session:
            session.execute(text(END_ALL_OTHERS))
        assert store.routes_by_key(database, key) == ("test", [])
        database.close()
        other.close()
