"""The manifests as a cluster gets them: built by kustomize, and what is asked of them in every test."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.deploy.manifest import render
from serving.deploy.service import Service
from serving.settings import DeploySettings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "k8s"
OVERLAYS = ("local", "production")
NAMESPACE = "inlier"
WORKLOADS = ("Deployment", "StatefulSet", "Job")

Document = dict[str, Any]


def kubectl() -> str:
    """Where kubectl is; without it a test is skipped, and on CI fails."""
    found = shutil.which("kubectl")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("kubectl is not on this machine, and builds the manifests")
        pytest.skip("kubectl is not on this machine")
    return found


@cache
def rendered(folder: Path) -> str:
    """What `kubectl kustomize` makes of a folder."""
    built = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    assert built.stderr == "", "kustomize warns"
    return built.stdout


@cache
def documents(overlay: str) -> tuple[Document, ...]:
    """Every object of an overlay; parsed once, so nobody changes them."""
    return tuple(yaml.safe_load_all(rendered(FOLDER / "overlays" / overlay)))


def of_kind(overlay: str, *kinds: str) -> list[Document]:
    return [document for document in documents(overlay) if document["kind"] in kinds]


def find(overlay: str, kind: str, name: str) -> Document:
    (found,) = [document for document in of_kind(overlay, kind) if document["metadata"]["name"] == name]
    return found


def workloads() -> list[Any]:
    """Every workload of every overlay, as parameters of a test; what cannot be built fails in the test."""
    if shutil.which("kubectl") is None:
        return []
    return [
        pytest.param(overlay, document, id=f"{overlay}-{document['metadata']['name']}")
        for overlay in OVERLAYS
        for document in of_kind(overlay, *WORKLOADS)
    ]


def pod(workload: Document) -> Document:
    spec: Document = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Document) -> Iterator[Document]:
    yield from pod(workload).get("initContainers", [])
    yield from pod(workload)["containers"]


def pod_labels(workload: Document) -> dict[str, str]:
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def microservice() -> tuple[Document, Document]:
    """A Deployment and a Service of start-microservice's making."""
    service = Service("inne", "inlier/inne:0.1.0", None, "rest", 1.0, "inlier/inne:0.1.0")
    found = {item["kind"]: item for item in render(service, DeploySettings())["items"]}
    return found["Deployment"], found["Service"]


def settings(overlay: str) -> dict[str, str]:
    (config,) = of_kind(overlay, "ConfigMap")
    data: dict[str, str] = config["data"]
    return data


def selects(selector: Document | None, labels: dict[str, str]) -> bool:
    """Whether a label selector selects an object of these labels; None selects nothing, {} everything."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


_UNITS = {"m": 1e-3, "k": 1e3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def quantity(text: str | float) -> float:
    """A Kubernetes quantity as a number."""
    for unit, factor in sorted(_UNITS.items(), key=lambda pair: -len(pair[0])):
        if str(text).endswith(unit):
            return float(str(text).removesuffix(unit)) * factor
    return float(text)
