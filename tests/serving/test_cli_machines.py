"""`inlier migrate`, `proxy` and `reaper`: a system whose parts run apart, as in containers."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, text

from serving.cli import main
from serving.deploy.addresses import free_port
from serving.proxy.database import Database, sqlite_url
from serving.proxy.secrets import digest, new_secret
from serving.proxy.tables import ApiKey, Client, Key, Task
from serving.tasks import folder_broker, store
from tests.databases import new_database

LIMIT = 60.0


def sqlite_there(folder: Path) -> Iterator[str]:
    yield sqlite_url(folder / "inlier.db")


def postgres_there(folder: Path) -> Iterator[str]:
    with new_database() as url:
        yield url


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("INLIER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INLIER_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture(params=[sqlite_there, postgres_there], ids=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for found in request.param(environment):
        monkeypatch.setenv("INLIER_DATABASE_URL", found)
        yield found


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "serving.cli", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def admins(url: str) -> list[ApiKey]:
    database = Database(url)
    with database.browsing() as session:
        found = list(session.scalars(select(ApiKey)))
        assert [client.name for client in session.scalars(select(Client))] == ["test"]
    database.close()
    return found


def test_migrate_again_changes_nothing(url: str) -> None:
    for _ in range(2):
        done = run("migrate")
        assert (done.exit_code, done.output) == (0, "the database is up to date\n")
    assert admins(url) == []


def test_several_migrate_at_once(url: str) -> None:
    command = [sys.executable, "-m", "serving.cli", "migrate"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(3)]
    for process in started:
        output, _ = process.communicate(timeout=LIMIT)
        assert (process.returncode, output) == (0, "the database is up to date\n")
    assert admins(url) == []


def test_the_admin_key_is_what_the_environment_says(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in (new_secret(), new_secret()):
        monkeypatch.setenv("INLIER_ADMIN_KEY", f"{key}\n")
        for _ in range(2):
            assert key not in run("migrate").output
        (admin,) = admins(url)
        assert (admin.name, admin.role, admin.key_digest) == ("admin", "admin", digest(key))


def test_the_keys_of_programs_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADMIN", "METRICS", "READER"):
        monkeypatch.setenv(f"INLIER_{name}_KEY", new_secret())
    assert run("migrate").exit_code == 0
    assert {(key.name, key.role) for key in admins(url)} == {
        ("admin", "admin"),
        ("metrics", "read"),
        ("reader", "read"),
    }
    monkeypatch.setenv("INLIER_METRICS_KEY", os.environ["INLIER_ADMIN_KEY"])
    done = run("migrate")
    assert (done.exit_code, done.output) == (2, "error: INLIER_METRICS_KEY is the API key 'admin' already\n")


def given(**scopes: dict[str, str]) -> str:
    return json.dumps({"local": {"test": scopes}})


def client_keys(url: str) -> dict[str, tuple[str, str | None]]:
    database = Database(url)
    with database.browsing() as session:
        found = {key.scope: (key.key_digest, key.secret_digest) for key in session.scalars(select(Key))}
    database.close()
    return found


def test_clients_keys_are_those_of_the_credentials(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    js, everything, secret = new_secret(), new_secret(), new_secret()
    pairs = {"js": {"consumer_key": js}, "all": {"consumer_key": everything, "consumer_secret": secret}}
    monkeypatch.setenv("INLIER_CREDENTIALS", given(**pairs))
    for _ in range(2):
        done = run("migrate")
        assert (done.exit_code, done.output) == (0, "the database is up to date\n")
    assert client_keys(url) == {"js": (digest(js), None), "all": (digest(everything), digest(secret))}


def test_credentials_that_are_files_as_a_cluster_mounts_them(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_secret()
    folder = Path(os.environ["INLIER_HOME"]).parent / "secrets"
    (folder / "..data").mkdir(parents=True)
    (folder / "..data" / "INLIER_CREDENTIALS").write_text(given(js={"consumer_key": key}) + "\n")
    (folder / "INLIER_CREDENTIALS").symlink_to("..data/INLIER_CREDENTIALS")
    monkeypatch.setenv("INLIER_SECRETS_DIR", str(folder))
    assert run("migrate").exit_code == 0
    assert client_keys(url) == {"js": (digest(key), None)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "INLIER_CREDENTIALS: Invalid JSON"),
        ('{"local": {"Test!": {}}}', "INLIER_CREDENTIALS.local.Test!"),
        (
            given(js={"consumer_key": "short-secret"}),
            "INLIER_CREDENTIALS.local.test.js.consumer_key: Value error, should be",
        ),
        (
            given(all={"consumer_key": "q7Vb2JxTzK0uYdWmR4sNfGhLpEoCiA9k"}),
            "INLIER_CREDENTIALS.local.test.all.consumer_secret",
        ),
        (given(some={"consumer_key": "q7Vb2JxTzK0uYdWmR4sNfGhLpEoCiA9k"}), "INLIER_CREDENTIALS.local.test.some"),
    ],
)
def test_credentials_that_are_none(environment: Path, monkeypatch: pytest.MonkeyPatch, text: str, problem: str) -> None:
    monkeypatch.setenv("INLIER_CREDENTIALS", text)
    done = run("migrate")
    assert done.exit_code == 2
    assert done.output.startswith(f"error: {problem}")
    assert done.output.count("\n") == 1
    assert "short-secret" not in done.output


def test_a_key_of_two_clients(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = {"js": {"consumer_key": new_secret()}}
    monkeypatch.setenv("INLIER_CREDENTIALS", json.dumps({"local": {"test": pair, "other": pair}}))
    done = run("migrate")
    assert done.exit_code == 2
    assert done.output.endswith("of 'other' is another's already\n")
    assert client_keys(url) == {}


def test_a_version_that_is_rolled_back_works_with_the_later_schema(url: str) -> None:
    assert run("migrate").exit_code == 0
    database = Database(url)
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert run("migrate").exit_code == 0
    with database.browsing() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    database.close()


@pytest.mark.parametrize(
    "key", ["short", "a" * 40, "q7Vb2JxTzK0uYdWmR4sNfGhLpEoCiA9é", "q7Vb2JxTzK0uYdWm\nR4sNfGhLpEoCiA9k"]
)
def test_a_key_that_could_be_guessed(environment: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("INLIER_ADMIN_KEY", key)
    done = run("migrate")
    assert done.exit_code == 2
    assert done.output == "error: INLIER_ADMIN_KEY should be 32 or more random ASCII characters\n"


def test_a_database_that_does_not_answer(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INLIER_DATABASE_URL", f"postgresql+psycopg://u:secret@127.0.0.1:{free_port()}/x")
    done = run("migrate", "--wait", "0.1")
    assert done.exit_code == 2
    assert done.output.startswith("error: the database cannot be used: ")
    assert done.output.count("\n") == 1
    assert "secret" not in done.output
    assert not (environment / "home").exists()


@pytest.mark.parametrize("wrong", ["postgres://u:secret@host/x", "nonsense", "postgresql+psycopg://host:port/x"])
def test_a_url_that_is_none_of_a_database(environment: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("INLIER_DATABASE_URL", wrong)
    done = run("migrate")
    assert done.exit_code == 2
    assert done.output.startswith("error: the database cannot be used: ")
    assert done.output.count("\n") == 1
    assert "secret" not in done.output


@pytest.mark.parametrize("command", ["proxy", "worker", "reaper"])
def test_a_url_that_is_none_ends_every_command(
    environment: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("INLIER_DATABASE_URL", "nonsense")
    started = start(command)
    output, _ = started.communicate(timeout=LIMIT)
    assert started.returncode == 2
    assert output.startswith("error: the database cannot be used: ")
    assert output.count("\n") == 1


def run_until(happened: Callable[[], bool], *words: str) -> None:
    """Run a command until something has happened, then stop it with SIGTERM."""
    process = start(*words)
    try:
        end = time.monotonic() + LIMIT
        while not happened():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.05)
        process.terminate()
        output, _ = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, output
    finally:
        process.kill()
        process.communicate()


def test_the_proxy_alone(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INLIER_PORT", str(free_port()))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # the way out of a network is no way to this container
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    def answers() -> bool:
        with start("alive") as process:
            process.communicate(timeout=LIMIT)
        return process.returncode == 0

    assert run("migrate").exit_code == 0
    assert not answers()
    run_until(answers, "proxy")


def test_a_proxy_that_others_reach_wants_to_be_told_who_may_use_it(environment: Path) -> None:
    for words in (["-m", "serving.cli", "proxy"], ["-m", "serving.proxy"]):
        command = [sys.executable, *words, "--host", "0.0.0.0", "--port", str(free_port())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: 0.0.0.0 can be reached from other machines: INLIER_PROXY_ACCESS=keys")
        assert done.stderr.endswith("INLIER_PROXY_ACCESS=open lets everybody do everything\n")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "access", "serves"),
    [
        ("127.0.0.1", "", True),
        ("localhost", "open", True),
        ("0.0.0.0", "keys", True),
        ("::", "open", True),
        ("0.0.0.0", "", False),
        ("::", "", False),
        ("proxy.example", "", False),
    ],
)
def test_who_may_reach_a_proxy(
    environment: Path, monkeypatch: pytest.MonkeyPatch, host: str, access: str, serves: bool
) -> None:
    served = []
    monkeypatch.setattr("serving.proxy.server.Server.run", lambda server: served.append(server))  # noqa: PLW0108  # a method
    monkeypatch.setenv("INLIER_PROXY_ACCESS", access)
    done = run("proxy", "--host", host)
    assert (done.exit_code, len(served)) == ((0, 1) if serves else (2, 0)), done.output


def test_access_may_be_told_by_a_file(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.proxy.server.Server.run", lambda server: None)
    monkeypatch.setenv("INLIER_SECRETS_DIR", str(environment))
    assert run("proxy", "--host", "0.0.0.0").exit_code == 2
    (environment / "INLIER_PROXY_ACCESS").write_text("keys\n")
    assert run("proxy", "--host", "0.0.0.0").exit_code == 0


def test_the_reaper_alone_gives_back_what_a_worker_lost(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INLIER_TASK_LEASE_SECONDS", "0.2")
    assert run("migrate").exit_code == 0
    database = Database(sqlite_url(environment / "home" / "inlier.db"))
    task = Task(
        id=str(uuid.uuid4()),
        kind="infer",
        body_digest="x",
        parameters={"features_file": "p/f/series", "detection_type": "univariate", "method_name": "iqr"},
        status=store.PENDING,
        celery_id=str(uuid.uuid4()),
        created_at=store.now(),
        sent_at=store.now(),
    )
    with database.writing() as session:
        task_id = store.add(session, task, 1000).id
        store.claim(session, task_id, 0.2)

    def sent_again() -> bool:
        return any(file.suffix == folder_broker.SUFFIX for file in (environment / "home" / "broker").rglob("*"))

    run_until(sent_again, "reaper")
    with database.browsing() as session:
        assert store.find(session, task_id).status == store.RETRY
    database.close()


def test_who_is_silent_for_long_is_not_alive(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = environment / "alive"
    file.touch()
    monkeypatch.setenv("INLIER_TASK_PROBE_FOLDER", str(environment))
    assert run("alive").exit_code == 0
    os.utime(file, (time.time() - 300, time.time() - 300))
    done = run("alive", "--seconds", "200")
    assert (done.exit_code, done.output) == (1, "silent for 300 seconds\n")
