import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from serving.proxy import store
from serving.proxy.database import Database, sqlite_url
from serving.proxy.schema import upgrade
from serving.proxy.tables import Base

UPGRADE = """
import sys
from serving.proxy.database import Database
from serving.proxy.schema import upgrade
upgrade(Database(sys.argv[1]))
"""


def test_the_migrations_make_the_tables_of_the_models(database):
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_twice_is_as_good_as_once(database, keys):
    upgrade(database)
    with database.browsing() as session:
        assert store.find_client(session, "test").keys


def test_by_several_processes_at_once(tmp_path):
    url = sqlite_url(tmp_path / "inlier.db")
    command = [sys.executable, "-c", UPGRADE, url]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0, 0], errors
    database = Database(url)
    assert "clients" in inspect(database.engine).get_table_names()
    database.close()


def test_writers_wait_for_each_other(database, keys):
    def add(number):
        with database.writing() as session:
            client = store.find_client(session, "test")
            store.add_key(session, client, "js")
            return number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(add, range(64))) == list(range(64))
    with database.browsing() as session:
        assert len(store.find_client(session, "test").keys) == 66


def test_any_path_is_a_good_place(tmp_path):
    folder = tmp_path / "a b%20?#é"
    folder.mkdir()
    database = Database(sqlite_url(folder / "x.db"))
    upgrade(database)
    database.close()
    assert (folder / "x.db").is_file()
