"""Who may reach whom, by the network policies of an overlay: as the documentation of NetworkPolicy says it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.k8s.manifests import NAMESPACE, Document, of_kind, selects

Direction = Literal["Ingress", "Egress"]


@dataclass(frozen=True)
class Peer:
    """A pod of some namespace, or an address outside of the cluster."""

    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = NAMESPACE
    address: str = ""


def applying(overlay: str, pod: Peer, direction: Direction) -> list[Document]:
    """The policies that limit a pod in a direction."""
    if pod.namespace != NAMESPACE or pod.address:
        return []
    return [
        policy
        for policy in of_kind(overlay, "NetworkPolicy")
        if direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], pod.labels)
    ]


def reaches(overlay: str, source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection is let out, and in."""
    out = applying(overlay, source, "Egress")
    into = applying(overlay, target, "Ingress")
    return _allowed(out, "egress", "to", target, port, protocol) and _allowed(
        into, "ingress", "from", source, port, protocol
    )


def _allowed(policies: list[Document], rules: str, side: str, peer: Peer, port: int, protocol: str) -> bool:
    if not policies:
        return True
    return any(
        _matches(rule.get(side), peer) and _has_port(rule, port, protocol)
        for policy in policies
        for rule in policy["spec"].get(rules, [])
    )


def _has_port(rule: dict[str, Any], port: int, protocol: str) -> bool:
    return {"protocol": protocol, "port": port} in rule["ports"]


def _matches(peers: list[dict[str, Any]] | None, peer: Peer) -> bool:
    return peers is None or any(_is(described, peer) for described in peers)


def _is(described: dict[str, Any], peer: Peer) -> bool:
    if "ipBlock" in described:
        return bool(peer.address) and _inside(described["ipBlock"], peer.address)
    if peer.address:
        return False
    if "namespaceSelector" in described:
        if not selects(described["namespaceSelector"], {"kubernetes.io/metadata.name": peer.namespace}):
            return False
    elif peer.namespace != NAMESPACE:
        return False
    return "podSelector" not in described or selects(described["podSelector"], peer.labels)


def _inside(block: dict[str, Any], address: str) -> bool:
    from ipaddress import ip_address, ip_network

    found = ip_address(address)
    return found in ip_network(block["cidr"]) and not any(found in ip_network(out) for out in block.get("except", []))
