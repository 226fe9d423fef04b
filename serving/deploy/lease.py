"""A Lease of the cluster, which one start-microservice holds while the others wait.

It is taken and renewed by compare-and-swap on its resource version. Whoever dies without a word loses it: another takes
it over when it has not seen it renewed for its duration, by a clock of its own. A renewal that gets no answer is given
up while there is time for another, over another connection.
"""

import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from serving.deploy.cluster import Cluster, Object, now
from serving.deploy.locks import WAITING
from serving.deploy.runtime import Say
from serving.errors import ClusterError

API = "coordination.k8s.io/v1"
NAME = "inlier-start-microservice"
SECONDS = 15
RENEW_SECONDS = 4.0
RETRY_SECONDS = 0.5
POLL_SECONDS = 0.5
CONFLICT = 409


class Lease:
    """The Lease, as one process would hold it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._me = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._held: Object = {}
        self._seen = ("", 0.0)
        self._ended = threading.Event()
        self._renewed_at = 0.0

    def acquire(self, say: Say) -> None:
        """Wait until it is ours."""
        said = False
        while not self._try():
            if not said:
                say(WAITING)
                said = True
            time.sleep(POLL_SECONDS)

    def _try(self) -> bool:
        found = self._cluster.get(API, "Lease", NAME)
        moment = time.monotonic()  # others see it renewed from now on, and not when the answer arrives
        try:
            if found is None:
                self._held = self._cluster.create(self._wanted({"name": NAME, "namespace": self._cluster.namespace}))
            elif self._is_free(found):
                self._held = self._cluster.replace(self._wanted(found["metadata"]))
            else:
                return False
        except ClusterError as error:
            if error.status == CONFLICT:  # another was faster
                return False
            raise
        self._renewed_at = moment
        return True

    def _is_free(self, found: Object) -> bool:
        spec = found.get("spec") or {}
        if not spec.get("holderIdentity"):
            return True
        version = found["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = version, time.monotonic()
        return time.monotonic() - self._seen[1] > float(spec.get("leaseDurationSeconds") or SECONDS)

    def _wanted(self, metadata: Object, *, holder: bool = True) -> Object:
        spec: Object = {"leaseDurationSeconds": SECONDS, "renewTime": now()}
        if holder:
            spec |= {"holderIdentity": self._me, "acquireTime": now()}
        kept = {name: metadata[name] for name in ("name", "namespace", "resourceVersion") if name in metadata}
        return {"apiVersion": API, "kind": "Lease", "metadata": kept, "spec": spec}

    def renew(self) -> None:
        """Keep it until it is released; a renewal that fails is tried again while it is still ours."""
        pause = RENEW_SECONDS
        while not self._ended.wait(pause):
            moment = time.monotonic()
            try:
                self._held = self._cluster.replace(self._wanted(self._held["metadata"]), self._patience())
            except ClusterError as error:
                if error.status == CONFLICT and not self._is_still_ours():
                    self._renewed_at = -math.inf
                    return
                pause = RETRY_SECONDS
            else:
                self._renewed_at, pause = moment, RENEW_SECONDS

    def _patience(self) -> float:
        """Return how long a renewal may take: as long as the lease lasts at most; one that ran out may be had back."""
        left = self._renewed_at + SECONDS - time.monotonic()
        return min(RENEW_SECONDS, left) if left > 0 else RENEW_SECONDS

    def _is_still_ours(self) -> bool:
        """Tell whether we hold it, as changed by a renewal of ours of which only the answer was lost."""
        try:
            found = self._cluster.get(API, "Lease", NAME, self._patience()) or {}
        except ClusterError:
            return True  # as far as anybody knows; the next renewal finds out, or it ends by itself
        if (found.get("spec") or {}).get("holderIdentity") != self._me:
            return False
        self._held = found
        return True

    def check(self) -> None:
        """Raise a ClusterError if another may hold it by now."""
        if time.monotonic() - self._renewed_at > SECONDS:
            raise ClusterError(f"the lease {NAME} was lost: another has it, or the cluster was away for too long")

    def end(self) -> None:
        """Renew it no more."""
        self._ended.set()

    def release(self) -> None:
        """Let the next one have it at once."""
        with suppress(ClusterError):  # it ends by itself
            if self._is_still_ours():  # a renewal that was given up may have come true since
                self._cluster.replace(self._wanted(self._held["metadata"], holder=False), RENEW_SECONDS)


@contextmanager
def held(cluster: Cluster, say: Say) -> Iterator[Lease]:
    """Hold the Lease of the cluster's namespace."""
    lease = Lease(cluster)
    lease.acquire(say)
    keeper = threading.Thread(target=lease.renew, daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        lease.end()
        keeper.join()
        lease.release()
