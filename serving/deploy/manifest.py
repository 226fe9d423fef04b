"""The Kubernetes manifest of a microservice: a Deployment and a Service, and the file that it is kept in.

Why the Deployment is as it is:

- ``maxUnavailable`` is 0 where the original had 1: with one replica, 1 would take the only pod away before the new one
  is ready, and with a broken image it would leave nothing that serves.
- ``preStop`` waits 5 s: a pod that is to end leaves the Service's endpoints at the same time, but every node has to
  hear of it first; until then the server goes on as if nothing were. It then ends what it has, within 5 s of its own.
- The Service has an address of its own for gRPC, too. A headless one would let a channel see every replica, but
  channels look a name up again at most every 30 s, so that a roll-over would be noticed too late. With an address, each
  process of the proxy is connected to one replica, chosen at random, and to another as soon as that one goes.
- A model file comes by an init container, from the proxy's storage, with a key that can only read, which the
  microservice itself does not get to see; it is checked against the digest in this manifest.
"""

import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

from serving.deploy.home import write_text
from serving.deploy.runtime import Kind
from serving.deploy.service import Service
from serving.errors import DeployError
from serving.settings import DeploySettings

Manifest = dict[str, Any]

FOLDER = Path("k8s/conf/microservices")  # from the working directory
PROXY = "inlier-proxy"
PROXY_PORT = 8000
READER = "inlier-reader"
"""The Secret with the API key that model files are fetched with, under ``api-key``."""
API_KEY = "api-key"
LABELS = {"app.kubernetes.io/managed-by": "inlier", "app.kubernetes.io/component": "microservice"}
"""What every object of ours has; what has not is somebody else's."""
ASKED = "inlier/from"
"""The annotation that says which image or model file was asked for."""
MODELS = "/mnt/models"
MODEL_PATH = f"{MODELS}/model.pkl"
HTTP_PORT, GRPC_PORT = 9000, 5000


def render(service: Service, settings: DeploySettings, replicas: int = 1) -> Manifest:
    """Return the manifest, a List of both."""
    template = json.loads(files("serving.deploy").joinpath("templates/microservice.json").read_text())
    values = {
        "${name}": service.name,
        "${namespace}": settings.namespace,
        "${image}": service.image,
        "${asked}": service.asked,
        "${replicas}": replicas,
        "${ready_seconds}": math.ceil(settings.ready_seconds),
    }
    manifest: Manifest = _fill(template, values)
    if service.file is not None:
        _fetch(manifest["items"][0]["spec"]["template"]["spec"], service)
    return manifest


def urls(name: str, namespace: str) -> dict[Kind, str]:
    """Return where a microservice predicts, by protocol, seen from inside the cluster."""
    host = f"{name}.{namespace}.svc"
    return {"rest": f"http://{host}:{HTTP_PORT}/predict", "rpc": f"grpc://{host}:{GRPC_PORT}"}


def _fill(node: Any, values: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, values) for value in node]
    return values.get(node, node) if isinstance(node, str) else node


def _fetch(pod: Manifest, service: Service) -> None:
    """Have the model file fetched before the microservice starts, and served."""
    (container,) = pod["containers"]
    container["args"] = [MODEL_PATH]
    container["volumeMounts"].append({"name": "model", "mountPath": MODELS, "readOnly": True})
    pod["volumes"].append({"name": "model", "emptyDir": {}})
    pod["initContainers"] = [_init_container(service, container)]


def _init_container(service: Service, container: Manifest) -> Manifest:
    assert service.file is not None  # noqa: S101 - for the type checker
    url = f"http://{PROXY}:{PROXY_PORT}/files/{service.file.key}"  # of the same namespace, whatever it is called
    key = {"secretKeyRef": {"name": READER, "key": API_KEY}}
    return {
        "name": "model",
        "image": service.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "serving.deploy.fetch", url, service.file.sha256, MODEL_PATH],
        "env": [{"name": "INLIER_API_KEY", "valueFrom": key}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": container["resources"],
        "securityContext": container["securityContext"],
        "volumeMounts": [{"name": "model", "mountPath": MODELS}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }


def path_of(folder: Path, name: str) -> Path:
    """Return where the manifest of a microservice is kept."""
    return folder / f"microservice-{name}.json"


def write(folder: Path, name: str, manifest: Manifest) -> Path:
    """Write a manifest and return its path."""
    path = path_of(folder, name)
    write_bytes(path, (json.dumps(manifest, indent=2) + "\n").encode())
    return path


def write_bytes(path: Path, content: bytes | None) -> None:
    """Put a manifest's file as it should be; None is no file."""
    try:
        if content is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, content.decode(), mode=0o644)
    except OSError as error:
        raise DeployError(f"cannot write {path}: {error.strerror}; --conf names another folder") from None
