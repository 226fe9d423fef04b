"""What start-microservice asks of a cluster's API is what the role `inlier-deployer` grants, and no more is granted."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.k8s.manifests import Document, find, of_kind
from tests.serving import conftest as models
from tests.serving.deploy import test_kubernetes as flows
from tests.serving.deploy.fake_cluster import VERBS, FakeCluster
from tests.serving.deploy.proxies import RunningProxy

cluster, proxy, start = flows.cluster, flows.proxy, flows.start
inne, inne_file = models.inne, models.inne_file

OPEN_TO_ALL = ("/version", "/apis/")
"""What Kubernetes lets every account know: the roles system:public-info-viewer and system:discovery."""
FROM_OUTSIDE = {"pods/portforward"}
"""From inside the cluster the proxy is called by its name."""


def asked(requests: list[tuple[str, str]]) -> Iterator[tuple[str, str, str, str]]:
    """Verb, group, resource and name of each request; the names of patched objects are their own business."""
    for method, path in requests:
        parts = urlsplit(path).path.strip("/").split("/")
        if "namespaces" not in parts:
            assert f"/{'/'.join(parts)}".startswith(OPEN_TO_ALL), path
            continue
        at = parts.index("namespaces")
        group = "" if parts[0] == "api" else parts[1]
        resource, name, *sub = [*parts[at + 2 :], ""][: 3 if len(parts) > at + 4 else 2]
        verb = "list" if method == "GET" and not name else VERBS[method]
        if sub == ["portforward"]:
            verb = "create"
        yield verb, group, "/".join([resource, *sub]), name


def grants(rule: Document, verb: str, group: str, resource: str, name: str) -> bool:
    return (
        verb in rule["verbs"]
        and group in rule["apiGroups"]
        and resource in rule["resources"]
        and name in rule.get("resourceNames", [name])
    )


@pytest.fixture
def rules() -> list[Document]:
    granted: list[Document] = find("local", "Role", "inlier-deployer")["rules"]
    return granted


@pytest.fixture
def requests(
    start: Callable[..., tuple[int, str, str]], cluster: FakeCluster, proxy: RunningProxy, inne_file: Path
) -> list[tuple[str, str, str, str]]:
    """Everything that is asked in the life of a few microservices."""
    cluster.groups |= {"machinelearning.seldon.io/v1", "serving.kserve.io/v1beta1"}
    assert start(*flows.SEEDS)[0] == 0
    assert start("--client", "test", "-p", "mine", str(inne_file), "rpc", "1.0")[0] == 0
    cluster.behaviour["shop/broken:1"] = "crashes"
    assert start(*flows.image("inne", "shop/broken:1"))[0] != 0
    assert start(*flows.image("fresh", "shop/broken:1"))[0] != 0
    for form in ("seldondeployment", "inferenceservice"):
        assert start(*flows.image(form, "inlier/inne:0.1.0"), "--format", form)[0] == 0
    assert start("--status")[0] == 0
    assert start(*flows.image("last", "inlier/inne:0.1.0"))[0] == 0
    for name in ("inne", "mine", "seldondeployment", "inferenceservice"):
        assert start("--remove", name)[0] == 0
    found = list(asked(cluster.requests))
    assert {verb for verb, *_ in found} >= {"get", "list", "create", "update", "patch", "delete"}
    return found


def test_all_that_is_asked_is_granted_and_little_else(
    requests: list[tuple[str, str, str, str]], rules: list[Document]
) -> None:
    refused = {
        request
        for request in requests
        if request[2] not in FROM_OUTSIDE and not any(grants(rule, *request) for rule in rules)
    }
    assert refused == set()
    used = {(verb, group, resource) for verb, group, resource, _ in requests}
    granted = {
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    # a server-side apply of what is not there needs "create" besides "patch"; seldon-cli keys writes a secret
    implied = {("create", group, resource) for verb, group, resource in used if verb == "patch"}
    assert granted - used - implied == {("update", "", "secrets")}


def test_secrets_are_granted_by_name(rules: list[Document]) -> None:
    for rule in rules:
        assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
        if "secrets" in rule["resources"]:
            assert rule["resourceNames"]
            assert set(rule["verbs"]) <= {"get", "update"}


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_nobody_else_may_do_anything(overlay: str) -> None:
    (binding,) = of_kind(overlay, "RoleBinding", "ClusterRoleBinding")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "inlier-deployer", "namespace": "inlier"}]
    assert not of_kind(overlay, "ClusterRole")
    used = {
        workload["spec"]["template"]["spec"].get("serviceAccountName")
        for workload in of_kind(overlay, "Deployment", "StatefulSet")
    }
    assert "inlier-deployer" not in used
