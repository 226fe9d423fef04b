"""Reaching a pod of a cluster through the Kubernetes API: each connection is a port that is forwarded.

Unlike the API server's own proxy for Services, this leaves the Authorization header alone, and keeps the keys that are
in a query string out of the cluster's audit log.
"""

from typing import Any

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import NewConnectionError

from serving.deploy.cluster import Cluster, Object, require
from serving.errors import ClusterError


class ForwardedPool(urllib3.PoolManager):
    """Connections to one port of one pod, whatever address is asked for.

    Parameters
    ----------
    cluster : Cluster
        Whose API forwards.
    pod, port : str, int
        Where to.
    """

    def __init__(self, cluster: Cluster, pod: str, port: int) -> None:
        super().__init__()
        forwarded: list[Any] = []

        class Connection(HTTPConnection):
            def _new_conn(self) -> Any:
                try:
                    forwarded.append(forward(cluster, pod, port))
                except ClusterError as error:
                    raise NewConnectionError(self, str(error)) from error
                return forwarded[-1].socket(port)

        class Connections(HTTPConnectionPool):
            ConnectionCls = Connection

        self.pool_classes_by_scheme = {"http": Connections}
        self._forwarded = forwarded

    def clear(self) -> None:
        """Close the connections; the library leaves the web socket of one that the pod closed first."""
        super().clear()
        for each in self._forwarded:
            if not each.websocket.connected:
                each.websocket.shutdown()


def forward(cluster: Cluster, pod: str, port: int) -> Any:
    """Return a forwarded port of a pod, as the library has it: with a socket, and the web socket behind it.

    Raises
    ------
    ClusterError
        When the API server does not let it.
    """
    from kubernetes import client
    from kubernetes.stream import portforward

    # A client of its own: the call replaces how its client sends requests while it lasts.
    api = client.CoreV1Api(client.ApiClient(cluster.configuration))
    try:
        return portforward(api.connect_get_namespaced_pod_portforward, pod, cluster.namespace, ports=str(port))
    except client.ApiException as error:
        why = " ".join(str(error.reason).split())[:300]
        raise ClusterError(f"cannot forward a port to the pod {pod}: {why}", error.status or None) from error


def pod_of_service(cluster: Cluster, name: str, port: int) -> tuple[str, int]:
    """Return a ready pod behind a Service, and the port that it has there.

    Raises
    ------
    DeployError
        When there is no such Service, or no pod of its is ready.
    """
    where = f"the namespace {cluster.namespace} of {cluster.place.title}"
    service = require(cluster.get("v1", "Service", name), f"there is no Service {name} in {where}: is Inlier there?")
    pods = cluster.select("v1", "Pod", service["spec"]["selector"])
    ready = [pod for pod in pods if _is_ready(pod)]
    pod = require(ready[0] if ready else None, f"no pod of the Service {name} in {where} is ready")
    target = next((each.get("targetPort", port) for each in service["spec"]["ports"] if each["port"] == port), port)
    return pod["metadata"]["name"], target if isinstance(target, int) else _container_port(pod, target, port)


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def _container_port(pod: Object, name: str, default: int) -> int:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    return next((int(port["containerPort"]) for port in ports if port.get("name") == name), default)
