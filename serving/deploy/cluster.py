"""A Kubernetes cluster: how it is found, and the few calls that are made to its API, with errors of one line.

Objects are plain dicts, as their JSON is. ``kubernetes`` is imported where it is needed: most commands never need it.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from serving.errors import ClusterError, DeployError

Object = dict[str, Any]

FIELD_MANAGER = "inlier"
APPLY = "application/apply-patch+yaml"
TIMEOUT = (5, 30)
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
KUBECONFIG = "~/.kube/config"
LOG_LINES = 12
PLURALS = {
    "Deployment": "deployments",
    "Service": "services",
    "Secret": "secrets",
    "Lease": "leases",
    "Pod": "pods",
    "ReplicaSet": "replicasets",
    "SeldonDeployment": "seldondeployments",
    "InferenceService": "inferenceservices",
}


@dataclass(frozen=True)
class Place:
    """Where a cluster was found: ``inside`` is from one of its own pods."""

    title: str
    inside: bool


class _NoDiscovery:
    """The paths of the few kinds that are used are known, so that nothing has to be asked, or kept in a file."""

    def __init__(self, client: Any, cache_file: str | None) -> None:
        del client, cache_file


def kubeconfig() -> str | None:
    """Return the kubeconfig files, as KUBECONFIG has them; None when there is none."""
    named = os.environ.get("KUBECONFIG") or str(Path(KUBECONFIG).expanduser())
    return named if any(Path(part).expanduser().is_file() for part in named.split(os.pathsep) if part) else None


def runs_inside() -> bool:
    """Tell whether this runs in a pod that may speak to its cluster."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and ACCOUNT.is_file()


def connect(context: str | None, namespace: str) -> "Cluster":
    """Return the cluster of a context, of the kubeconfig's current one, or the one that this runs in.

    Raises
    ------
    ClusterError
        When there is none, or it does not answer.
    """
    try:
        from kubernetes import client, config
        from kubernetes.config import ConfigException
        from yaml import YAMLError  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise ClusterError("the Kubernetes client is not installed; pip install 'inlier[k8s]'") from None
    found = client.Configuration()
    file = kubeconfig()
    try:
        if file is not None:
            config.load_kube_config(file, context=context, client_configuration=found)  # type: ignore[no-untyped-call]
            place = Place(f"the context {context}" if context else f"the current context of {file}", inside=False)
        elif context is None and runs_inside():
            config.load_incluster_config(found)  # type: ignore[no-untyped-call]
            place = Place("the cluster that this runs in", inside=True)
        else:
            raise ClusterError("there is no cluster: no kubeconfig (KUBECONFIG, ~/.kube/config), and no pod's account")
    except (ConfigException, YAMLError, OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise ClusterError(f"the kubeconfig cannot be used: {why}") from error
    found.retries = False
    cluster = Cluster(found, place, namespace)
    try:
        cluster.call("GET", "/version")
    except BaseException:
        cluster.close()
        raise
    return cluster


class Cluster:
    """The API of a cluster, in one namespace.

    Parameters
    ----------
    configuration : kubernetes.client.Configuration
        Where it is, and who is asking.
    place : Place
        Where that was found.
    namespace : str
        Of all that is asked for.
    """

    def __init__(self, configuration: Any, place: Place, namespace: str) -> None:
        from kubernetes import client, dynamic

        self.configuration = configuration
        self.place = place
        self.namespace = namespace
        api = self._api = client.ApiClient(configuration)
        self._client = dynamic.DynamicClient(api, discoverer=_NoDiscovery)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close the connections."""
        self._api.rest_client.pool_manager.clear()

    def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        within: float | None = None,
    ) -> bytes:
        """Return the body of an answer, which has to come within so many seconds.

        Raises
        ------
        ClusterError
            With the status and the message of the API server, or without a status when it does not answer.
        """
        from kubernetes.client import ApiException

        try:
            response = self._client.request(
                method,
                path,
                body=body,
                query_params=list((query or {}).items()),
                header_params={"Accept": "*/*" if path.endswith("/log") else "application/json"},
                content_type=content_type,
                _request_timeout=TIMEOUT if within is None else within,
                serialize=False,
            )
        except ApiException as error:
            raise ClusterError(_refusal(error.status, error.body or error.reason), error.status or None) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(f"{self.place.title} does not answer at {self.configuration.host}") from error
        return bytes(response.data)

    def path(self, api_version: str, kind: str, name: str = "") -> str:
        """Return the path of an object, or of all of a kind."""
        root = "/api" if "/" not in api_version else "/apis"
        path = f"{root}/{api_version}/namespaces/{self.namespace}/{PLURALS[kind]}"
        return f"{path}/{name}" if name else path

    def get(self, api_version: str, kind: str, name: str, within: float | None = None) -> Object | None:
        """Return an object; None when there is none, or its kind is not known to the cluster."""
        try:
            return dict(json.loads(self.call("GET", self.path(api_version, kind, name), within=within)))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def select(self, api_version: str, kind: str, labels: Mapping[str, str]) -> list[Object]:
        """Return the objects of a kind that have these labels; none of a kind that the cluster does not know."""
        selector = {"labelSelector": ",".join(f"{label}={value}" for label, value in labels.items())}
        try:
            items = json.loads(self.call("GET", self.path(api_version, kind), query=selector))["items"]
        except ClusterError as error:
            if error.status == 404:
                return []
            raise
        return [{"apiVersion": api_version, "kind": kind, **item} for item in items]

    def apply(self, wanted: Object, *, dry_run: bool = False) -> Object:
        """Let an object be as it is wanted, by a server-side apply that takes over what others changed."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        path = self.path(wanted["apiVersion"], wanted["kind"], wanted["metadata"]["name"])
        return dict(json.loads(self.call("PATCH", path, wanted, query, APPLY)))

    def create(self, wanted: Object) -> Object:
        """Make an object; a ClusterError of status 409 says that there is one."""
        path = self.path(wanted["apiVersion"], wanted["kind"])
        return dict(json.loads(self.call("POST", path, wanted, {"fieldManager": FIELD_MANAGER})))

    def replace(self, wanted: Object, within: float | None = None) -> Object:
        """Put an object in the place of the one that was read; status 409 says that it has changed since."""
        path = self.path(wanted["apiVersion"], wanted["kind"], wanted["metadata"]["name"])
        return dict(json.loads(self.call("PUT", path, wanted, {"fieldManager": FIELD_MANAGER}, within=within)))

    def delete(self, api_version: str, kind: str, name: str) -> None:
        """Delete an object, and in the background what belongs to it; one that is not there is no error."""
        try:
            self.call("DELETE", self.path(api_version, kind, name), query={"propagationPolicy": "Background"})
        except ClusterError as error:
            if error.status != 404:
                raise

    def serves(self, api_version: str) -> bool:
        """Tell whether the cluster knows a group of kinds."""
        try:
            self.call("GET", f"/apis/{api_version}")
        except ClusterError as error:
            if error.status == 404:
                return False
            raise
        return True

    def log(self, pod: str, container: str, *, previous: bool) -> list[str]:
        """Return the last lines of a container's log; none when they cannot be had."""
        query = {"container": container, "tailLines": str(LOG_LINES), "previous": str(previous).lower()}
        try:
            written = self.call("GET", self.path("v1", "Pod", pod) + "/log", query=query)
        except ClusterError:
            return []
        return written.decode(errors="replace").splitlines()


def _refusal(status: int, body: Any) -> str:
    """Return the message of an API server's Status, in one line."""
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        said = str(body or "no reason given")[:300]
    said = " ".join(said.split())
    if status == 401:
        return f"the cluster does not know who asks: {said}"
    return f"the cluster refuses: {said}" if status else f"the cluster cannot be reached: {said}"


def now() -> str:
    """Return the time as Kubernetes' MicroTime has it."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds // 1000:06d}Z"


def require(found: Object | None, what: str) -> Object:
    """Return an object that has to be there."""
    if found is None:
        raise DeployError(what)
    return found
