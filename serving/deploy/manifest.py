"""The Kubernetes manifest of a microservice: a Deployment and a Service, whatever runtime is used."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from serving.deploy.home import write_text
from serving.deploy.service import Service
from serving.errors import DeployError

FOLDER = Path("k8s/conf/microservices")  # from the working directory
STORAGE_CLAIM = "inlier-storage"
STORAGE_PATH = "/storage"


def render(service: Service, replicas: int = 1) -> dict[str, Any]:
    """Return the manifest, a List of both."""
    template = json.loads(files("serving.deploy").joinpath("templates/microservice.json").read_text())
    values = {"${name}": service.name, "${image}": service.image, "${replicas}": replicas}
    manifest: dict[str, Any] = _fill(template, values)
    if service.model is not None:
        _mount(manifest["items"][0]["spec"]["template"]["spec"], service.model)
    return manifest


def _fill(node: Any, values: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, values) for value in node]
    return values.get(node, node) if isinstance(node, str) else node


def _mount(pod: dict[str, Any], model: Path) -> None:
    """Let the container read a model file from the storage."""
    parameters = [{"name": "model_uri", "value": f"{STORAGE_PATH}/{model.name}", "type": "STRING"}]
    container = pod["containers"][0]
    container["env"].append({"name": "PREDICTIVE_UNIT_PARAMETERS", "value": json.dumps(parameters)})
    container["volumeMounts"].append({"name": "storage", "mountPath": STORAGE_PATH, "readOnly": True})
    claim = {"claimName": STORAGE_CLAIM, "readOnly": True}
    pod["volumes"].append({"name": "storage", "persistentVolumeClaim": claim})


def path_of(folder: Path, name: str) -> Path:
    """Return where the manifest of a microservice is kept."""
    return folder / f"microservice-{name}.json"


def write(folder: Path, name: str, manifest: dict[str, Any]) -> Path:
    """Write a manifest and return its path."""
    path = path_of(folder, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(manifest, indent=2) + "\n", mode=0o644)
    except OSError as error:
        raise DeployError(f"cannot write {path}: {error.strerror}; --conf names another folder") from None
    return path
