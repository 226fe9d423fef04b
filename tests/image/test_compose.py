"""compose.yaml: by the specification, and by what we promise of it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.settings import ProxySettings, StorageSettings, TaskSettings
from tests.environments import ROOT, environment

FILE = ROOT / "compose.yaml"
SECRETS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY", "INLIER_ADMIN_KEY"}
ONCE = {"migrate", "bucket"}
OTHERS = {"postgres", "redis", "s3"}
VALIDATE = """
import json, sys
from compose_pydantic import ComposeSpecification
ComposeSpecification.model_validate(json.load(sys.stdin))
"""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found = yaml.safe_load(FILE.read_text())
    return {name: value for name, value in found.items() if not name.startswith("x-")}


def validate(compose: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    python = environment("compose", ROOT / "tests" / "image" / "requirements.txt")
    return subprocess.run([python, "-c", VALIDATE], input=json.dumps(compose), capture_output=True, text=True)


@pytest.mark.slow
def test_it_is_by_the_specification(compose: dict[str, Any]) -> None:
    done = validate(compose)
    assert done.returncode == 0, done.stderr
    broken = compose | {"services": compose["services"] | {"proxy": {"image": "x", "readonly": True}}}
    assert "services.proxy.readonly" in validate(broken).stderr


def test_every_service_is_hardened(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert service.get("user") != "0:0" or name == "s3"
        assert ":" in service["image"].replace(":-", ""), f"{name}: an image without a version"


def test_every_service_that_stays_has_a_check(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name in ONCE:
            assert service["restart"] == "no"
        else:
            assert service["restart"] == "unless-stopped"
        if name in OTHERS:  # ours have one in the image
            assert service["healthcheck"]["test"]


def test_only_the_proxy_has_a_port_and_only_on_the_loopback_address(compose: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert list(ports) == ["proxy"]
    assert all(port.startswith("127.0.0.1:") for port in ports["proxy"])
    assert compose["networks"]["inside"]["internal"] is True
    assert [name for name, service in compose["services"].items() if "outside" in service["networks"]] == ["proxy"]


def test_it_holds_no_secret() -> None:
    text = FILE.read_text()
    assert set(re.findall(r"\$\{(\w+):\?", text)) == SECRETS
    assert re.findall(r"(?i)(?:password|secret|key)[A-Z_]*: (?!\$\{)\S+", text) == []


def test_its_settings_are_ours(compose: dict[str, Any]) -> None:
    known = set()
    for concern in (ProxySettings, StorageSettings, TaskSettings):
        for name, field in concern.model_fields.items():
            known.add(str(field.validation_alias or f"{concern.model_config.get('env_prefix')}{name}".upper()))
    for service in compose["services"].values():
        ours = {name for name in service.get("environment", {}) if name.startswith("INLIER_")}
        assert ours <= known


def test_the_script_writes_what_it_reads_once(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "compose-env"
    script.write_bytes((ROOT / "scripts" / "compose-env").read_bytes())
    script.chmod(0o755)
    assert subprocess.run([script], capture_output=True, umask=0o022).returncode == 0
    written = (tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in written.splitlines())
    assert set(values) == SECRETS
    assert all(re.fullmatch(r"[A-Za-z0-9]{40}", value) for value in values.values())
    assert len(set(values.values())) == len(values)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    again = subprocess.run([script], capture_output=True, text=True)
    assert (again.returncode, (tmp_path / ".env").read_text()) == (0, written)
    assert "kept" in again.stderr


def test_neither_git_nor_an_image_takes_the_secrets() -> None:
    for file in (".gitignore", ".dockerignore"):
        assert ".env" in (ROOT / file).read_text().splitlines()
