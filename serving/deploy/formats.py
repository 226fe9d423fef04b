"""The formats of --format: what a microservice is on a cluster, as objects of Kubernetes, Seldon Core or KServe.

=================== ================================================================================================
deployment          a Deployment and a Service
seldondeployment    a SeldonDeployment of one node, behind Seldon Core's own router
inferenceservice    an InferenceService, deployed as a plain Deployment (KServe's "RawDeployment": serverless pods may
                    have neither init containers nor hooks)
=================== ================================================================================================

The pod is the same in all of them. A model that is named by an address (s3://...) is fetched by the operator's own
initializer in the latter two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from serving.deploy import manifest
from serving.deploy.manifest import Manifest
from serving.deploy.runtime import Kind
from serving.deploy.service import Service
from serving.errors import DeployError
from serving.settings import DeploySettings

Format = Literal["deployment", "seldondeployment", "inferenceservice"]
PREDICTOR = "default"
SELDON_PORTS = {"rest": 8000, "rpc": 5001}
SELDON_PATH = "/api/v1.0/predictions"
MAX_NAME = 63


@dataclass(frozen=True)
class Facts:
    """What there is to know of a format.

    Attributes
    ----------
    api_version, kind, plural : str
        Of the object that stands for the microservice.
    suffix : str
        The longest that is added to its name and must still be a DNS label.
    pods : str
        The label that its pods have, with its name.
    """

    api_version: str
    kind: str
    plural: str
    suffix: str
    pods: str


FORMATS: dict[Format, Facts] = {
    "deployment": Facts("apps/v1", "Deployment", "deployments", "", "name"),
    "seldondeployment": Facts(
        "machinelearning.seldon.io/v1",
        "SeldonDeployment",
        "seldondeployments",
        f"-{PREDICTOR}-0-microservice",
        "seldon-deployment-id",
    ),
    "inferenceservice": Facts(
        "serving.kserve.io/v1beta1",
        "InferenceService",
        "inferenceservices",
        "-predictor",
        "serving.kserve.io/inferenceservice",
    ),
}


def check(form: Format, service: Service) -> None:
    """Refuse a name that a Service of the cluster cannot have, and a model that nothing would fetch."""
    longest = MAX_NAME - len(FORMATS[form].suffix)
    if service.name[0].isdigit():
        raise DeployError(f"{service.name!r}: a name on a cluster begins with a letter")
    if len(service.name) > longest:
        raise DeployError(
            f"{service.name!r} is too long: a {FORMATS[form].kind} has a name of at most {longest} characters"
        )
    if service.is_address and form == "deployment":
        raise DeployError(
            f"{service.name}: {service.model} is fetched by the formats seldondeployment and inferenceservice; "
            "otherwise name a model file, or a path in the storage of the proxy"
        )


def render(form: Format, service: Service, settings: DeploySettings, replicas: int = 1) -> Manifest:
    """Return a microservice's manifest, a List of objects."""
    plain = manifest.render(service, settings, replicas)
    if form == "deployment":
        return plain
    deployment = plain["items"][0]
    pod = deployment["spec"]["template"]["spec"]
    spec = _seldon(service, pod, replicas) if form == "seldondeployment" else _kserve(service, pod, replicas)
    metadata = deployment["metadata"]
    if form == "inferenceservice":
        metadata["annotations"] |= {"serving.kserve.io/deploymentMode": "RawDeployment"}
    facts = FORMATS[form]
    described = {"apiVersion": facts.api_version, "kind": facts.kind, "metadata": metadata, "spec": spec}
    return {"apiVersion": "v1", "kind": "List", "items": [described]}


def _seldon(service: Service, pod: Manifest, replicas: int) -> Manifest:
    (container,) = pod["containers"]
    graph: Manifest = {
        "name": container["name"],
        "type": "MODEL",
        "endpoint": {"type": "GRPC" if service.kind == "rpc" else "REST"},
        "children": [],
    }
    if service.is_address:
        graph["modelUri"] = service.model
        container["args"] = [manifest.MODELS]
    predictor = {"name": PREDICTOR, "replicas": replicas, "graph": graph, "componentSpecs": [{"spec": pod}]}
    return {"name": service.name, "protocol": "seldon", "predictors": [predictor]}


def _kserve(service: Service, pod: Manifest, replicas: int) -> Manifest:
    (container,) = pod["containers"]
    container["name"] = "kserve-container"
    if service.is_address:
        container["env"].append({"name": "STORAGE_URI", "value": service.model})
        container["args"] = [manifest.MODELS]
    return {"predictor": {"minReplicas": replicas, "maxReplicas": replicas, **pod}}


def urls(form: Format, name: str, namespace: str, live: Mapping[str, Any]) -> dict[Kind, str]:
    """Return where a microservice predicts, seen from inside the cluster.

    Parameters
    ----------
    form, name, namespace : str
        Of the microservice.
    live : mapping
        The object as the cluster has it: operators write the address into its status.
    """
    if form == "deployment":
        return manifest.urls(name, namespace)
    address = live.get("status", {}).get("address", {}).get("url")
    if form == "seldondeployment":
        host = f"{name}-{PREDICTOR}.{namespace}.svc"
        rest = f"http://{host}:{SELDON_PORTS['rest']}{SELDON_PATH}"
        return {"rest": address or rest, "rpc": f"grpc://{host}:{SELDON_PORTS['rpc']}"}
    host = f"{name}-predictor.{namespace}.svc"
    return {
        "rest": f"{(address or f'http://{host}').rstrip('/')}/predict",
        "rpc": f"grpc://{host}:{manifest.GRPC_PORT}",
    }
