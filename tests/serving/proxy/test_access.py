from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from serving.cli import main
from serving.proxy import access
from serving.proxy.app import create_app
from serving.proxy.database import Database
from serving.proxy.tables import ApiKey
from serving.settings import HomeSettings, ProxySettings
from training.storage import MemoryStorage


@pytest.fixture
def guarded(database: Database, tmp_path: Path) -> FlaskClient:
    home = HomeSettings(home=tmp_path)
    return create_app(ProxySettings(access="keys"), None, database, home, storage=MemoryStorage()).test_client()


@pytest.fixture
def keys_of(database: Database) -> dict[str, dict[str, str]]:
    with database.writing() as session:
        return {
            role: {"Authorization": f"Bearer {access.add_key(session, f'my-{role}', role)}"} for role in access.ROLES
        }


@pytest.mark.parametrize("path", ["/health/ping", "/health/status", "/docs", "/openapi.json"])
def test_some_paths_are_open(guarded: FlaskClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_the_gateway_asks_for_its_own_keys(guarded: FlaskClient) -> None:
    assert "consumer_key" in guarded.get("/js/predict").json["error"]["message"]


def test_metrics_are_collected_by_the_address_of_a_pod_with_a_key(
    guarded: FlaskClient, keys_of: dict[str, dict[str, str]]
) -> None:
    pod = {"Host": "10.42.0.7:8000"}
    assert guarded.get("/metrics", headers=pod).status_code == 401
    assert guarded.get("/metrics", headers=pod | keys_of["read"]).status_code != 403
    assert guarded.get("/files", headers=pod | keys_of["read"]).status_code == 403


def test_without_keys_metrics_are_not_for_pages_of_other_names(http: FlaskClient) -> None:
    assert http.get("/metrics", headers={"Host": "evil.example:8000"}).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/files"),
        ("PUT", "/files/a.csv"),
        ("GET", "/clients"),
        ("POST", "/anomaly_detection/train/"),
        ("GET", "/anomaly_detection/tasks"),
        ("GET", "/nothing/here"),
        ("GET", "/health"),
        ("GET", "/docs/x"),
        ("OPTIONS", "/files"),
    ],
)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic eDp5", "bearer é"])
def test_without_a_good_key_nothing_else(guarded: FlaskClient, method: str, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = guarded.open(path, method=method, headers=headers)
    assert answer.status_code == 401
    assert answer.json["error"]["code"] == "UNAUTHORIZED"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/files", ["read", "run", "admin"]),
        ("HEAD", "/files", ["read", "run", "admin"]),
        ("GET", "/anomaly_detection/models", ["read", "run", "admin"]),
        ("PUT", "/files/a.csv", ["run", "admin"]),
        ("DELETE", "/files/a.csv", ["run", "admin"]),
        ("POST", "/anomaly_detection/train", ["run", "admin"]),
        ("GET", "/clients", ["admin"]),
        ("POST", "/clients", ["admin"]),
        ("DELETE", "/clients/test", ["admin"]),
    ],
)
def test_each_role_may_do_what_it_may(
    guarded: FlaskClient, keys_of: dict[str, dict[str, str]], method: str, path: str, allowed: list[str]
) -> None:
    statuses = {role: guarded.open(path, method=method, headers=header).status_code for role, header in keys_of.items()}
    assert [role for role, status in statuses.items() if status != 403] == allowed
    assert 401 not in statuses.values()


def test_a_deleted_key_is_forgotten(
    guarded: FlaskClient, database: Database, keys_of: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "REMEMBERED_SECONDS", 0.0)
    assert guarded.get("/files", headers=keys_of["run"]).status_code == 200
    with database.writing() as session:
        access.delete_key(session, "my-run")
    assert guarded.get("/files", headers=keys_of["run"]).status_code == 401


def test_keys_are_kept_as_digests(database: Database, keys_of: dict[str, dict[str, str]]) -> None:
    with database.browsing() as session:
        for key in access.all_keys(session):
            secret = keys_of[key.role]["Authorization"].removeprefix("Bearer ")
            held = {name: getattr(key, name) for name in ApiKey.__annotations__}
            assert secret not in map(str, held.values())
            assert secret.startswith(key.hint)


def test_on_loopback_no_keys_are_asked_for(http: FlaskClient, keys_of: dict[str, dict[str, str]]) -> None:
    assert http.get("/clients").status_code == 200


def test_the_command(tmp_path: Path) -> None:
    def keys(*arguments: str) -> tuple[int, list[str]]:
        done = CliRunner().invoke(main, ["keys", *arguments, "--home", str(tmp_path / "home")])
        return done.exit_code, done.output.splitlines()

    status, (key,) = keys("create", "ops", "--role", "admin")
    assert (status, len(key)) == (0, 40)
    assert keys("create", "ops") == (2, ["error: there is already a key 'ops'"])
    status, (line,) = keys("list")
    name, role, hint, _ = line.split("\t")
    assert (status, name, role, hint) == (0, "ops", "admin", f"{key[:4]}...")
    assert keys("create", "Not A Name")[0] == 2
    assert keys("delete", "ops") == (0, [])
    assert keys("list") == (0, [])
    assert keys("delete", "ops") == (2, ["error: there is no key 'ops'"])
