"""Settings of the environment, and those that are files, as a cluster mounts its secrets."""

from pathlib import Path

import pytest

from serving.errors import SettingsError
from serving.settings import SECRETS_DIR, MicroserviceSettings, ProxySettings, TaskSettings


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(SECRETS_DIR, str(tmp_path))
    return tmp_path


def test_a_file_of_the_variables_name_is_a_setting(secrets: Path) -> None:
    (secrets / "INLIER_DATABASE_URL").write_text("postgresql+psycopg://database/inlier\n")
    (secrets / "INLIER_TASK_BROKER_URL").write_text("redis://broker:6379/0")
    assert ProxySettings().database_url == "postgresql+psycopg://database/inlier"
    assert TaskSettings().broker_url == "redis://broker:6379/0"


def test_the_environment_goes_before(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets / "INLIER_TASK_BROKER_URL").write_text("redis://file:6379/0")
    monkeypatch.setenv("INLIER_TASK_BROKER_URL", "redis://environment:6379/0")
    assert TaskSettings().broker_url == "redis://environment:6379/0"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRETS_DIR, str(tmp_path / "none"))
    with pytest.raises(SettingsError, match=r"^INLIER_SECRETS_DIR: there is no folder .*none$"):
        TaskSettings()


def test_where_the_proxy_listens_is_not_where_a_microservice_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INLIER_HOST", "0.0.0.0")
    monkeypatch.setenv("INLIER_PORT", "8000")
    assert (MicroserviceSettings().serve_host, MicroserviceSettings().serve_port) == ("127.0.0.1", 9000)
    monkeypatch.setenv("INLIER_SERVE_HOST", "::1")
    monkeypatch.setenv("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "9001")
    assert (MicroserviceSettings().serve_host, MicroserviceSettings().serve_port) == ("::1", 9001)
