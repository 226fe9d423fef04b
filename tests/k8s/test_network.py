"""Nobody reaches anybody, but for what is needed."""

import pytest

from tests.k8s.manifests import OVERLAYS, Document, microservice, of_kind, pod_labels, workloads
from tests.k8s.network import Peer, applying, reaches

DNS = Peer({"k8s-app": "kube-dns"}, "kube-system")
SERVER, PUBLIC, METADATA = Peer(address="10.1.2.3"), Peer(address="52.95.1.1"), Peer(address="169.254.169.254")
STRANGER = Peer({"app": "other"})
CLIENT = Peer({"inlier/client": "true"})
DEPLOYER = Peer({"app.kubernetes.io/name": "inlier", "app.kubernetes.io/component": "deployer"})
INGRESS, MONITORING = Peer(namespace="ingress-nginx"), Peer(namespace="monitoring")
ELSEWHERE = Peer({"app.kubernetes.io/name": "inlier", "app.kubernetes.io/component": "proxy"}, "elsewhere")


def part(overlay: str, component: str) -> Peer:
    """The pods of a part of Inlier, with all labels that they have."""
    if component == "microservice":
        return Peer(pod_labels(microservice()[0]))
    (found,) = [
        workload
        for workload in of_kind(overlay, "Deployment", "StatefulSet")
        if pod_labels(workload)["app.kubernetes.io/component"] == component
    ]
    return Peer(pod_labels(found))


@pytest.mark.parametrize(("overlay", "workload"), workloads())
def test_every_pod_is_covered(overlay: str, workload: Document) -> None:
    for direction in ("Ingress", "Egress"):
        assert len(applying(overlay, Peer(pod_labels(workload)), direction)) >= 1


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_needed(overlay: str) -> None:
    proxy, microservice = part(overlay, "proxy"), part(overlay, "microservice")
    for source in (proxy, part(overlay, "worker"), part(overlay, "reaper"), microservice, DEPLOYER):
        assert reaches(overlay, source, DNS, 53, "UDP")
    assert reaches(overlay, proxy, microservice, 9000)
    assert reaches(overlay, proxy, microservice, 5000)
    for source in (CLIENT, DEPLOYER):
        assert reaches(overlay, source, proxy, 8000)
        assert reaches(overlay, source, proxy, 5000)
    assert reaches(overlay, microservice, proxy, 8000), "model files"
    assert reaches(overlay, DEPLOYER, PUBLIC, 443)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_else(overlay: str) -> None:
    proxy, worker, microservice = (part(overlay, name) for name in ("proxy", "worker", "microservice"))
    for source in (worker, STRANGER, DEPLOYER, ELSEWHERE, microservice, CLIENT):
        assert not reaches(overlay, source, microservice, 9000), source
        assert not reaches(overlay, source, microservice, 5000), source
    for source in (worker, STRANGER, ELSEWHERE):
        assert not reaches(overlay, source, proxy, 8000), source
    for source in (proxy, worker, microservice):
        assert not reaches(overlay, source, METADATA, 80)
        assert not reaches(overlay, source, METADATA, 443)
        assert not reaches(overlay, source, PUBLIC, 80)
    assert not reaches(overlay, worker, part(overlay, "reaper"), 8000)
    assert not reaches(overlay, microservice, proxy, 5000)


@pytest.mark.parametrize("component", ["proxy", "worker", "reaper"])
def test_local_parts_reach_their_servers(component: str) -> None:
    source = part("local", component)
    for server, port in (("database", 5432), ("broker", 6379), ("storage", 8333)):
        target = part("local", server)
        assert reaches("local", source, target, port)
        for stranger in (STRANGER, ELSEWHERE, part("local", "microservice"), DEPLOYER):
            assert not reaches("local", stranger, target, port)
    assert not reaches("local", source, PUBLIC, 443)


@pytest.mark.parametrize("component", ["proxy", "worker", "reaper"])
def test_production_parts_reach_their_servers(component: str) -> None:
    source = part("production", component)
    for port in (5432, 6379, 5671, 443):
        assert reaches("production", source, SERVER, port)
    assert reaches("production", source, PUBLIC, 443)
    assert not reaches("production", source, PUBLIC, 5432)


def test_production_is_reached_by_ingress_and_monitoring() -> None:
    proxy, microservice = part("production", "proxy"), part("production", "microservice")
    assert reaches("production", INGRESS, proxy, 8000)
    assert reaches("production", INGRESS, proxy, 5000)
    assert not reaches("production", MONITORING, proxy, 5000)
    assert reaches("production", MONITORING, proxy, 8000)
    assert reaches("production", MONITORING, microservice, 9000)
    assert not reaches("production", INGRESS, microservice, 9000)
    assert not reaches("production", MONITORING, microservice, 5000)
    assert not reaches("local", MONITORING, part("local", "proxy"), 8000)
