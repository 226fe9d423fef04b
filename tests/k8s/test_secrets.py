"""What the manifests set is what the programs read, and every secret they name is one that is created."""

import base64
import inspect
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices
from pydantic_settings import BaseSettings
from sqlalchemy.engine import make_url

from serving import settings as known_settings
from serving.deploy.credentials import LOCAL, Credentials
from serving.settings import SECRETS_DIR, ProxySettings, StorageSettings, TaskSettings
from tests.k8s.manifests import FOLDER, NAMESPACE, OVERLAYS, containers, documents, of_kind, pod, settings

CREATE = FOLDER / "create-secrets"
PRODUCTION = {
    "INLIER_DATABASE_URL": "postgresql+psycopg://inlier:p'a\"s%s$@db.example/inlier",
    "INLIER_TASK_BROKER_URL": "rediss://:secret@broker.example:6380/0",
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "a/b+c=",
}
MADE_BY_OTHERS = {"inlier-tls"}
"""The certificate of the ingress, which ingress.yaml says how to get."""
OF_OTHERS = {"AWS_SHARED_CREDENTIALS_FILE", "INLIER_SECRETS_DIR"}
"""Read by boto3, and before all other settings."""


def variables() -> Iterator[str]:
    for _, concern in inspect.getmembers(known_settings, inspect.isclass):
        if issubclass(concern, BaseSettings):
            for field, facts in concern.model_fields.items():
                alias = facts.validation_alias
                if isinstance(alias, AliasChoices):
                    yield from (str(choice) for choice in alias.choices)
                else:
                    yield alias or f"{concern.model_config.get('env_prefix', '')}{field}".upper()


def create(kind: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CREATE, kind, "--print"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def created(kind: str, **environment: str) -> dict[str, dict[str, str]]:
    done = create(kind, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    secrets = list(yaml.safe_load_all(done.stdout))
    assert {secret["metadata"]["namespace"] for secret in secrets} == {NAMESPACE}
    return {
        secret["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        for secret in secrets
    }


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    overlay: str = request.param
    return overlay


@pytest.fixture
def secrets(overlay: str) -> dict[str, dict[str, str]]:
    return created(overlay, **(PRODUCTION if overlay == "production" else {}))


def references(node: Any) -> Iterator[tuple[str, set[str]]]:
    """Every secret that a document names, with the keys."""
    if isinstance(node, list):
        for part in node:
            yield from references(part)
    elif isinstance(node, dict):
        for key, part in node.items():
            if key == "secret" and isinstance(part, dict):
                name = part.get("secretName", part.get("name"))
                yield name, {item["key"] for item in part["items"]}
            elif key in ("secretKeyRef", "credentials") and isinstance(part, dict) and "name" in part:
                yield part["name"], {part["key"]}
            elif key == "secretName" and isinstance(part, str):
                yield part, set()
            else:
                yield from references(part)


def test_every_secret_is_created(overlay: str, secrets: dict[str, dict[str, str]]) -> None:
    named = [pair for document in documents(overlay) for pair in references(document)]
    assert {"inlier-database", "inlier-broker", "inlier-storage", "inlier-admin"} <= {name for name, _ in named}
    for name, keys in named:
        if name not in MADE_BY_OTHERS:
            assert keys <= set(secrets[name]), name


def test_no_secret_is_in_the_manifests_or_the_environment(overlay: str) -> None:
    assert not of_kind(overlay, "Secret")
    for workload in of_kind(overlay, "Deployment", "StatefulSet"):
        for container in containers(workload):
            assert not [entry for entry in container.get("env", []) if "valueFrom" in entry]
            assert all("secretRef" not in source for source in container.get("envFrom", []))


def test_the_keys_of_people_are_for_the_migration_alone(overlay: str) -> None:
    for workload in of_kind(overlay, "Deployment"):
        volumes = {volume["name"]: {name for name, _ in references(volume)} for volume in pod(workload)["volumes"]}
        for container in pod(workload)["containers"]:
            seen = set().union(*(volumes[mount["name"]] for mount in container["volumeMounts"]))
            assert seen <= {"inlier-database", "inlier-broker", "inlier-storage"}


def test_every_setting_is_one_that_there_is(overlay: str) -> None:
    assert set(settings(overlay)) - OF_OTHERS <= set(variables())


def test_every_file_of_a_secret_is_a_setting(overlay: str) -> None:
    given = settings(overlay)
    folder = given[SECRETS_DIR]
    for workload in of_kind(overlay, "Deployment"):
        for container in containers(workload):
            mounts = {mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == folder}
            paths = {
                item["path"]
                for volume in pod(workload)["volumes"]
                if volume["name"] in mounts
                for source in volume["projected"]["sources"]
                for item in source["secret"]["items"]
            }
            assert "INLIER_DATABASE_URL" in paths
            rest = paths - set(variables())
            assert {f"{folder}/{path}" for path in rest} <= {given["AWS_SHARED_CREDENTIALS_FILE"]}


def test_the_settings_are_good(overlay: str, secrets: dict[str, dict[str, str]], tmp_path: Path) -> None:
    """Read as a pod reads them: the ConfigMap is the environment, the secrets are files."""
    (tmp_path / "INLIER_DATABASE_URL").write_text(secrets["inlier-database"]["url"])
    (tmp_path / "INLIER_TASK_BROKER_URL").write_text(secrets["inlier-broker"]["url"])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (settings(overlay) | {SECRETS_DIR: str(tmp_path)}).items():
            patch.setenv(name, value)
        proxy, task, storage = ProxySettings(), TaskSettings(), StorageSettings()
    assert proxy.access == "keys"
    assert make_url(proxy.database_url).get_backend_name() == "postgresql"
    assert task.broker_url == secrets["inlier-broker"]["url"]
    assert storage.url.startswith("s3://")
    names = [f"inlier-proxy{rest}" for rest in ("", f".{NAMESPACE}", f".{NAMESPACE}.svc")]
    assert {"localhost", *names, f"{names[-1]}.cluster.local"} <= set(proxy.allowed_hosts)
    for ingress in of_kind(overlay, "Ingress"):
        assert {rule["host"] for rule in ingress["spec"]["rules"]} <= set(proxy.allowed_hosts)


def test_the_credentials_are_those_that_the_commands_read(secrets: dict[str, dict[str, str]], tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(secrets["inlier-credentials"]["credentials"])
    kept = Credentials(tmp_path / "credentials")
    js, everything = kept.get(LOCAL, "test", "js"), kept.get(LOCAL, "test", "all")
    assert js is not None
    assert everything is not None
    assert set(js) == {"consumer_key"}
    assert set(everything) == {"consumer_key", "consumer_secret"}


def test_keys_are_made_anew_and_long() -> None:
    first, second = created("local"), created("local")
    for name, values in first.items():
        for key, value in values.items():
            assert value != second[name][key], f"{name}/{key}"
    made = re.findall(r"[A-Za-z0-9]{32,}", json.dumps(first))
    assert {len(key) for key in made} == {40}
    assert len(set(made)) == 10  # three passwords, one access key, three keys of the API, three of the client


def test_what_production_is_told_arrives_as_it_was() -> None:
    secrets = created("production", **PRODUCTION)
    assert secrets["inlier-database"] == {"url": PRODUCTION["INLIER_DATABASE_URL"]}
    assert secrets["inlier-storage"]["credentials"].splitlines() == [
        "[default]",
        "aws_access_key_id = AKIAEXAMPLE",
        "aws_secret_access_key = a/b+c=",
    ]


def test_production_wants_to_know_its_servers() -> None:
    done = create("production", INLIER_DATABASE_URL="postgresql://x")
    assert done.returncode != 0
    assert "INLIER_TASK_BROKER_URL: is needed" in done.stderr


def test_a_secret_that_is_there_is_kept(tmp_path: Path) -> None:
    """With a kubectl that knows one secret and notes what it is told."""
    stub = tmp_path / "kubectl"
    stub.write_text(
        "#!/bin/bash\n"
        'case "$*" in\n'
        '  *"get secret inlier-admin --namespace other") exit 0 ;;\n'
        '  *"get secret"*) exit 1 ;;\n'
        f'  *"create -f -") cat >> {tmp_path}/created; printf "%s\\n" "$*" >> {tmp_path}/said ;;\n'
        "  *) exit 9 ;;\nesac\n"
    )
    stub.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [CREATE, "local", "--namespace", "other", "--context", "kind-kind"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "secret/inlier-admin is there already, and kept\n")
    text = (tmp_path / "created").read_text()
    assert "inlier-admin" not in text
    assert text.count("kind: Secret") == 6
    assert set((tmp_path / "said").read_text().splitlines()) == {"--context kind-kind create -f -"}
