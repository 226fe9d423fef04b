"""The lease against a cluster whose answers get lost; two of them at once are tested with the whole command."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from serving.deploy import lease as leases
from serving.deploy.cluster import Cluster
from serving.deploy.lease import CONFLICT, Lease
from serving.errors import ClusterError


class OneLease:
    """Keeps a lease as a cluster does: what replaces it names the version that it was read at."""

    namespace = "inlier"

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}
        self.loses_answers = 0
        self.replaced = 0
        self.after_replacing: Callable[[], None] = lambda: None

    def get(self, *_: str) -> dict[str, Any] | None:
        return self.held or None

    def create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        self.held = wanted | {"metadata": wanted["metadata"] | {"resourceVersion": "0"}}
        return self.held

    def replace(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if wanted["metadata"]["resourceVersion"] != self.held["metadata"]["resourceVersion"]:
            raise ClusterError("it has changed", CONFLICT)
        self.replaced += 1
        self.held = wanted | {"metadata": wanted["metadata"] | {"resourceVersion": str(self.replaced)}}
        self.after_replacing()
        if self.loses_answers:
            self.loses_answers -= 1
            raise ClusterError("it does not answer")
        return self.held


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> OneLease:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.001)
    return OneLease()


def acquired(cluster: OneLease) -> Lease:
    lease = Lease(cast("Cluster", cluster))
    lease.acquire(lambda line: None)
    return lease


def test_a_renewal_whose_answer_is_lost_is_still_one(cluster: OneLease) -> None:
    lease = acquired(cluster)
    cluster.loses_answers = 1
    cluster.after_replacing = lambda: lease.end() if cluster.replaced == 3 else None
    lease.renew()
    assert cluster.replaced == 3
    lease.check()
    lease.release()
    assert "holderIdentity" not in cluster.held["spec"]


def test_one_that_another_took_is_lost_at_once(cluster: OneLease) -> None:
    lease = acquired(cluster)
    cluster.held = {"metadata": {"resourceVersion": "9"}, "spec": {"holderIdentity": "another"}}
    lease.renew()
    with pytest.raises(ClusterError, match="was lost"):
        lease.check()
    lease.release()
    assert cluster.held["spec"] == {"holderIdentity": "another"}
