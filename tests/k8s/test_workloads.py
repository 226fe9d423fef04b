"""What every pod must have: no more rights than it needs, limits, probes, and an image that is known."""

import re

import pytest

from serving.cli.seldon import RPC_PORT
from serving.deploy import manifest
from serving.settings import DeploySettings
from tests.k8s.manifests import (
    NAMESPACE,
    ROOT,
    Document,
    containers,
    find,
    of_kind,
    pod,
    pod_labels,
    quantity,
    selects,
    settings,
    workloads,
)

every_workload = pytest.mark.parametrize(("overlay", "workload"), workloads())
LATEST = {"", "latest", "stable", "main", "edge"}
PROXY_IMAGE = "inlier/proxy"


@every_workload
def test_a_pod_is_nobody_in_particular(overlay: str, workload: Document) -> None:
    spec = pod(workload)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["fsGroup"] == security["runAsGroup"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]


@every_workload
def test_a_container_can_do_nothing_it_need_not(overlay: str, workload: Document) -> None:
    for container in containers(workload):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["privileged"] is False
        assert security["runAsNonRoot"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}


@every_workload
def test_a_container_has_requests_and_limits(overlay: str, workload: Document) -> None:
    for container in containers(workload):
        for resource in ("cpu", "memory", "ephemeral-storage"):
            request, limit = (quantity(container["resources"][part][resource]) for part in ("requests", "limits"))
            assert 0 < request <= limit


@every_workload
def test_what_is_written_to_an_empty_folder_is_limited(overlay: str, workload: Document) -> None:
    limit = max(quantity(container["resources"]["limits"]["ephemeral-storage"]) for container in containers(workload))
    sizes = [quantity(volume["emptyDir"]["sizeLimit"]) for volume in pod(workload)["volumes"] if "emptyDir" in volume]
    assert sum(sizes) <= limit


@every_workload
def test_every_container_that_stays_has_three_probes(overlay: str, workload: Document) -> None:
    for container in pod(workload)["containers"]:
        ports = {port["name"] for port in container.get("ports", [])}
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[name]
            assert ("exec" in probe) or probe["httpGet"]["port"] in ports
            assert probe["periodSeconds"] > 0
            assert probe["timeoutSeconds"] > 1, "a second is too short on a busy node"
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 60


@every_workload
def test_images_are_pinned_and_told_apart(overlay: str, workload: Document) -> None:
    for container in containers(workload):
        tag = container["image"].partition(":")[2]
        assert tag not in LATEST
        assert re.search(r"\d+\.\d+", tag)
        assert container["imagePullPolicy"] == "IfNotPresent"


@every_workload
def test_it_rolls_over_and_back(overlay: str, workload: Document) -> None:
    spec = workload["spec"]
    assert 1 < spec["revisionHistoryLimit"] <= 10
    assert selects(spec["selector"], pod_labels(workload))
    assert "app.kubernetes.io/version" not in spec["selector"]["matchLabels"], "a selector cannot change"
    assert pod(workload)["terminationGracePeriodSeconds"] >= 30
    if workload["kind"] == "Deployment":
        assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        assert spec["progressDeadlineSeconds"] > 0
        assert pod(workload)["serviceAccountName"] == workload["metadata"]["name"]
        account = find(overlay, "ServiceAccount", workload["metadata"]["name"])
        assert account["automountServiceAccountToken"] is False


@every_workload
def test_mounts_and_volumes_belong_together(overlay: str, workload: Document) -> None:
    claims = [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])]
    volumes = {*claims, *(volume["name"] for volume in pod(workload)["volumes"])}
    mounted = {mount["name"] for container in containers(workload) for mount in container["volumeMounts"]}
    assert mounted == volumes
    for claim in workload["spec"].get("volumeClaimTemplates", []):
        assert "storageClassName" not in claim["spec"], "the cluster's default"


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_the_version_is_that_of_the_package(overlay: str) -> None:
    found = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text())
    assert found is not None
    for workload in of_kind(overlay, "Deployment"):
        assert pod_labels(workload)["app.kubernetes.io/version"] == found[1]
        assert {container["image"] for container in containers(workload)} == {f"{PROXY_IMAGE}:{found[1]}"}


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_every_service_selects_pods_that_have_its_port(overlay: str) -> None:
    for service in of_kind(overlay, "Service"):
        chosen = [
            workload
            for workload in of_kind(overlay, "Deployment", "StatefulSet")
            if selects({"matchLabels": service["spec"]["selector"]}, pod_labels(workload))
        ]
        assert len(chosen) == 1, service["metadata"]["name"]
        ports = {port["name"] for container in pod(chosen[0])["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_every_other_part_of_a_set_has_its_service(overlay: str) -> None:
    services = {service["metadata"]["name"] for service in of_kind(overlay, "Service")}
    assert "inlier-proxy" in services
    assert {workload["spec"]["serviceName"] for workload in of_kind(overlay, "StatefulSet")} <= services


def test_the_proxy_is_where_everybody_looks_for_it() -> None:
    ports = find("local", "Service", "inlier-proxy")["spec"]["ports"]
    assert {port["name"]: port["port"] for port in ports} == {"http": manifest.PROXY_PORT, "grpc": RPC_PORT}
    assert DeploySettings().namespace == NAMESPACE
    (container,) = pod(find("local", "Deployment", manifest.PROXY))["containers"]
    listened = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    assert listened == {"http": container["args"][-1], "grpc": settings("local")["INLIER_PROXY_GRPC_PORT"]}


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_a_worker_has_the_memory_that_its_tasks_may_take(overlay: str) -> None:
    (worker,) = pod(find(overlay, "Deployment", "inlier-worker"))["containers"]
    given = settings(overlay)
    tasks = int(given["INLIER_TASK_CONCURRENCY"]) * int(given["INLIER_TASK_MEMORY_BYTES"])
    assert quantity(worker["resources"]["limits"]["memory"]) >= tasks + 2**29
