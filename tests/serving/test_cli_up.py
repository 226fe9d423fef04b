"""What `inlier up` refuses; what it runs is tested in tests/serving/deploy/test_system.py."""

import socket

import pytest
from click.testing import CliRunner

from serving.cli import main
from serving.deploy.addresses import free_port, is_loopback
from serving.deploy.home import Home


def up(*arguments):
    return CliRunner().invoke(main, ["up", *arguments])


def test_other_machines_are_let_in_only_on_purpose(tmp_path):
    for host in ("0.0.0.0", "::"):
        done = up("--host", host, "--port", str(free_port()), "--home", str(tmp_path / "home"))
        assert done.exit_code == 2
        assert "--insecure" in done.output
        assert len(done.output.splitlines()) == 1


def test_an_address_of_another_machine(tmp_path):
    done = up("--host", "192.0.2.1", "--insecure", "--port", str(free_port()), "--home", str(tmp_path / "home"))
    assert done.exit_code == 2
    assert "cannot listen on port" in done.output


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback(host, loopback):
    assert is_loopback(host) is loopback


def test_a_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = up("--port", str(port), "--home", str(tmp_path / "home"))
    assert done.exit_code == 2
    assert done.output == f"error: port {port} of 127.0.0.1 is in use; --port or INLIER_PORT takes another\n"


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    done = up("--home", str(tmp_path / "file" / "home"))
    assert done.exit_code == 2
    assert "cannot write to" in done.output
    assert len(done.output.splitlines()) == 1


def test_another_one_on_the_same_home(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    with home.lock("up.lock", wait=False):
        done = up("--home", str(home.path))
    assert done.exit_code == 2
    assert done.output == f"error: another `inlier up` runs in {home.path}\n"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("INLIER_PORT", "abc", "INLIER_PORT: "),
        ("INLIER_PROXY_ALLOWED_HOSTS", "xx", "allowed_hosts"),
        ("INLIER_DEPLOY_STOP_SECONDS", "-1", "INLIER_DEPLOY_STOP_SECONDS: "),
        ("INLIER_DATABASE_URL", "foo", "the database cannot be used"),
        ("INLIER_DATABASE_URL", "sqlite:////nowhere/x.db", "unable to open database file"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path, monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    done = up("--home", str(tmp_path / "home"), *(() if variable == "INLIER_PORT" else ("--port", str(free_port()))))
    assert done.exit_code == 2
    assert message in done.output
    assert len(done.output.splitlines()) == 1


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "inlier.db").write_text("this is no database, and long enough to be told from one")
    done = up("--home", str(tmp_path), "--port", str(free_port()))
    assert done.exit_code == 2
    assert "file is not a database" in done.output
    assert len(done.output.splitlines()) == 1
