"""The proxy of a cluster: how commands get to it, its admin key, and the keys of its clients.

============================= ======================== =============================================================
Service ``inlier-proxy``      port 8000                from inside by its name, from elsewhere by a forwarded port
Secret ``inlier-admin``       ``api-key``              the API key, unless INLIER_API_KEY is set
Secret ``inlier-credentials`` ``credentials``          the clients' keys, as the file of a home has them
============================= ======================== =============================================================
"""

import base64
import binascii
from collections.abc import Callable

from serving.deploy.calls import Proxy
from serving.deploy.cluster import Cluster
from serving.deploy.credentials import LOCAL, Held, Pair
from serving.deploy.forward import ForwardedPool, pod_of_service
from serving.deploy.manifest import API_KEY, PROXY, PROXY_PORT
from serving.errors import ClusterError, DeployError
from serving.server_and_key import api_key

ADMIN = "inlier-admin"
CREDENTIALS = "inlier-credentials"
FILE = "credentials"
TRIES = 5


def proxy_of(cluster: Cluster) -> Proxy:
    """Return the proxy of a cluster's namespace.

    Raises
    ------
    DeployError
        When there is none, it cannot be reached from here, or its key may not be read.
    """
    if cluster.place.inside:
        return Proxy(f"http://{PROXY}.{cluster.namespace}.svc:{PROXY_PORT}", _admin_key(cluster))
    pod, port = pod_of_service(cluster, PROXY, PROXY_PORT)
    return Proxy("http://localhost", _admin_key(cluster), ForwardedPool(cluster, pod, port))


def _admin_key(cluster: Cluster) -> str:
    return api_key() or _read(cluster, ADMIN, API_KEY, "; INLIER_API_KEY names a key, too").decode(errors="replace")


def _read(cluster: Cluster, name: str, key: str, hint: str = "") -> bytes:
    """Return what is under a key of a Secret."""
    what = f"the Secret {name} of the namespace {cluster.namespace}"
    try:
        found = cluster.get("v1", "Secret", name)
    except ClusterError as error:
        if error.status == 403:
            raise ClusterError(f"you may not read {what}{hint}", 403) from error
        raise
    data = (found or {}).get("data") or {}
    if key not in data:
        raise DeployError(f"{what} is not there, or has nothing under {key!r}{hint}")
    try:
        return base64.b64decode(data[key], validate=True)
    except binascii.Error:
        raise DeployError(f"{what} holds what is not base64 under {key!r}") from None


class SecretKeys:
    """The clients' keys in the cluster's Secret; each change is made to what is there at that moment."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.place = f"the Secret {CREDENTIALS} of the namespace {cluster.namespace}"

    def get(self, client: str, scope: str) -> Pair | None:
        """Return a client's key of a scope."""
        return Held.parse(_read(self._cluster, CREDENTIALS, FILE), self.place).get(LOCAL, client, scope)

    def put(self, client: str, scope: str, pair: Pair) -> None:
        """Keep a key."""
        self._change(lambda held: held.put(LOCAL, client, scope, pair))

    def drop(self, client: str, scope: str | None = None) -> None:
        """Forget a client's keys, or that of a scope."""
        self._change(lambda held: held.drop(LOCAL, client, scope))

    def _change(self, change: Callable[[Held], None]) -> None:
        for _ in range(TRIES):
            found = self._cluster.get("v1", "Secret", CREDENTIALS)
            wanted = found or {
                "metadata": {"name": CREDENTIALS, "namespace": self._cluster.namespace},
                "type": "Opaque",
            }
            data = wanted.get("data") or {}
            held = Held.parse(base64.b64decode(data[FILE]), self.place) if FILE in data else Held()
            change(held)
            encoded = base64.b64encode(held.text().encode()).decode()
            wanted |= {"apiVersion": "v1", "kind": "Secret", "data": data | {FILE: encoded}}
            try:
                if found is None:
                    self._cluster.create(wanted)
                else:
                    self._cluster.replace(wanted)
            except ClusterError as error:
                if error.status != 409:  # somebody else changed it meanwhile
                    raise
            else:
                return
        raise ClusterError(f"{self.place} changes all the time; try again")
