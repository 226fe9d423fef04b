"""The lease against a cluster whose answers get lost; two of them at once are tested with the whole command."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from serving.deploy import lease as leases
from serving.deploy.cluster import Cluster, connect
from serving.deploy.lease import CONFLICT, Lease
from serving.errors import ClusterError
from tests.serving.deploy.fake_cluster import NAMESPACE, FakeCluster


class OneLease:
    """Keeps a lease as a cluster does: what replaces it names the version that it was read at."""

    namespace = "inlier"

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}
        self.loses_answers = 0
        self.replaced = 0
        self.after_replacing: Callable[[], None] = lambda: None

    def get(self, *_: Any) -> dict[str, Any] | None:
        return self.held or None

    def create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        self.held = wanted | {"metadata": wanted["metadata"] | {"resourceVersion": "0"}}
        return self.held

    def replace(self, wanted: dict[str, Any], within: float) -> dict[str, Any]:
        if wanted["metadata"]["resourceVersion"] != self.held["metadata"]["resourceVersion"]:
            raise ClusterError("it has changed", CONFLICT)
        assert 0 < within <= leases.SECONDS
        self.replaced += 1
        self.held = wanted | {"metadata": wanted["metadata"] | {"resourceVersion": str(self.replaced)}}
        self.after_replacing()
        if self.loses_answers:
            self.loses_answers -= 1
            raise ClusterError("it does not answer")
        return self.held


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> OneLease:
    for pause in ("RENEW_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(leases, pause, 0.001)
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


def test_a_renewal_that_hangs_is_tried_again_before_the_lease_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "SECONDS", 10)
    for pause in ("RENEW_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(leases, pause, 0.2)
    hangs, goes_on, renewed = threading.Event(), threading.Event(), threading.Event()
    with FakeCluster() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "kubeconfig")))

        def answers_every_other(method: str, path: str) -> None:
            if method != "PUT":
                return
            if not hangs.is_set():
                hangs.set()
                goes_on.wait()
            renewed.set()

        server.before_answer = answers_every_other
        with leases.held(connect(None, NAMESPACE), lambda line: None) as lease:
            assert hangs.wait(10)
            began = time.monotonic()
            assert renewed.wait(5)  # it would wait for half a minute otherwise
            goes_on.set()
            assert time.monotonic() - began < leases.SECONDS
            lease.check()
        server.before_answer = lambda method, path: None
        assert "holderIdentity" not in server.objects["coordination.k8s.io/v1", "leases", leases.NAME]["spec"]


def test_a_renewal_counts_from_when_it_was_asked_for(cluster: OneLease) -> None:
    lease = acquired(cluster)

    def takes_long() -> None:
        time.sleep(0.1)
        lease.end()

    cluster.after_replacing = takes_long
    began = time.monotonic()
    lease.renew()
    assert lease._renewed_at < began + 0.1 < time.monotonic()


@pytest.mark.parametrize(("age", "patience"), [(0, 4), (13, 2), (14.5, 0.5), (16, 4)])
def test_a_renewal_waits_no_longer_than_the_lease_lasts(age: float, patience: float) -> None:
    lease = Lease(cast("Cluster", OneLease()))
    lease._renewed_at = time.monotonic() - age
    assert lease._patience() == pytest.approx(patience, abs=0.3)
