"""Every overlay builds, and is what the API of each supported Kubernetes takes."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from tests.k8s.manifests import FOLDER, NAMESPACE, OVERLAYS, documents, microservice, of_kind, rendered

OLDEST = (1, 29)
VERSIONS = sorted(
    {
        version
        for found in utils.all_versions()
        if (version := tuple(int(part) for part in found.split(".")[:2])) >= OLDEST
    }
)
CUSTOM = {"ServiceMonitor", "PrometheusRule"}
"""Of the Prometheus operator: no schema of Kubernetes has it."""
CLUSTER_WIDE = {"PriorityClass"}


@pytest.fixture(autouse=True)
def _schemas_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils, "schema_contents", _SCHEMAS)


_SCHEMAS = cache(utils.schema_contents)


def all_documents() -> Iterator[dict[str, Any]]:
    seen = set()
    for overlay in OVERLAYS:
        for document in documents(overlay):
            text = yaml.safe_dump(document)
            if text not in seen:
                seen.add(text)
                yield document
    yield yaml.safe_load((FOLDER / "namespace.yaml").read_text())
    yield from microservice()


def test_the_newest_kubernetes_is_among_the_versions() -> None:
    assert (1, 32) in VERSIONS
    assert len(VERSIONS) >= 9, VERSIONS


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: "{}.{}".format(*version))
def test_kubernetes_takes_every_document(version: tuple[int, int]) -> None:
    for document in all_documents():
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, "{}.{}".format(*version), strict=True)


def test_an_unknown_field_would_be_found() -> None:
    document = of_kind("local", "Deployment")[0]
    broken = {**document, "spec": {**document["spec"], "replicaCount": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replicaCount"):
        kubernetes_validate.validate(broken, "1.32", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_in_the_namespace_once(overlay: str) -> None:
    names = []
    for document in documents(overlay):
        metadata = document["metadata"]
        names.append((document["kind"], metadata["name"]))
        expected = None if document["kind"] in CLUSTER_WIDE else NAMESPACE
        assert metadata.get("namespace") == expected, names[-1]
    assert len(set(names)) == len(names)
    assert not [name for kind, name in names if kind in ("Namespace", "Secret", "PersistentVolumeClaim")]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_has_the_recommended_labels(overlay: str) -> None:
    for document in documents(overlay):
        labels = document["metadata"]["labels"]
        expected = {"name", "instance", "part-of", "managed-by"} - (
            {"name"} if document["kind"] == "ConfigMap" else set()
        )
        assert expected <= {label.removeprefix("app.kubernetes.io/") for label in labels}, document["metadata"]["name"]


def test_every_file_is_used() -> None:
    """A manifest that no kustomization names would be one that nobody applies."""
    named: set[Path] = {FOLDER / "namespace.yaml", FOLDER / "overlays/production/prometheus-adapter.yaml"}
    for path in FOLDER.rglob("kustomization.yaml"):
        kustomization = yaml.safe_load(path.read_text())
        named.add(path)
        generated = [name for entry in kustomization["configMapGenerator"] for name in entry["envs"]]
        patches = [patch["path"] for patch in kustomization.get("patches", []) if "path" in patch]
        named |= {(path.parent / name).resolve() for name in [*kustomization["resources"], *generated, *patches]}
    present = {path for path in FOLDER.rglob("*") if path.is_file() and "conf" not in path.relative_to(FOLDER).parts}
    assert {path for path in present if path.suffix in (".yaml", ".env")} == {path for path in named if path.is_file()}


def test_the_base_builds_alone() -> None:
    assert "kind: Deployment" in rendered(FOLDER / "base")
