"""What production has besides: how many there are, what holds them up, what is measured."""

import re
from collections.abc import Iterator

import pytest
import yaml

from tests.k8s.manifests import (
    FOLDER,
    NAMESPACE,
    ROOT,
    Document,
    find,
    microservice,
    of_kind,
    pod,
    pod_labels,
    selects,
    workloads,
)

PRODUCTION = [parameter for parameter in workloads() if parameter.values[0] == "production"]
every_workload = pytest.mark.parametrize(("overlay", "workload"), PRODUCTION)
SCALED = ("inlier-proxy", "inlier-worker")


@every_workload
def test_one_pod_at_a_time_is_taken_away(overlay: str, workload: Document) -> None:
    budgets = [
        budget
        for budget in of_kind(overlay, "PodDisruptionBudget")
        if selects(budget["spec"]["selector"], pod_labels(workload))
    ]
    assert len(budgets) == 1, "of two budgets for a pod, none can be evicted"
    assert budgets[0]["spec"]["maxUnavailable"] == 1
    assert budgets[0]["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@every_workload
def test_pods_are_spread_over_zones_and_nodes(overlay: str, workload: Document) -> None:
    constraints = pod(workload)["topologySpreadConstraints"]
    assert {constraint["topologyKey"] for constraint in constraints} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }
    for constraint in constraints:
        assert selects(constraint["labelSelector"], pod_labels(workload))
        others = [pod_labels(other) for other in of_kind(overlay, "Deployment") if other is not workload]
        assert not [labels for labels in others if selects(constraint["labelSelector"], labels)]


@every_workload
def test_predictions_go_before_trainings(overlay: str, workload: Document) -> None:
    classes = {item["metadata"]["name"]: item["value"] for item in of_kind(overlay, "PriorityClass")}
    mine = classes[pod(workload)["priorityClassName"]]
    assert (mine > 0) == (workload["metadata"]["name"] == "inlier-proxy")


@every_workload
def test_how_many_there_are_is_said_once(overlay: str, workload: Document) -> None:
    name = workload["metadata"]["name"]
    targets = [item["spec"]["scaleTargetRef"]["name"] for item in of_kind(overlay, "HorizontalPodAutoscaler")]
    assert targets.count(name) == (name in SCALED)
    assert ("replicas" in workload["spec"]) == (name not in SCALED)
    if name not in SCALED:
        assert workload["spec"]["replicas"] >= 2


@pytest.mark.parametrize("name", SCALED)
def test_an_autoscaler_goes_by_the_cpu_that_is_requested(name: str) -> None:
    scaler = find("production", "HorizontalPodAutoscaler", name)["spec"]
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    (cpu,) = [metric["resource"] for metric in scaler["metrics"] if metric["type"] == "Resource"]
    assert cpu["name"] == "cpu"
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300
    for container in pod(find("production", "Deployment", name))["containers"]:
        assert "cpu" in container["resources"]["requests"]


def test_workers_are_scaled_by_the_queue() -> None:
    """By the metric that the proxy shows and the adapter hands on, of the statuses that tasks really have."""
    from serving.proxy import metrics, task_metrics
    from serving.tasks import store

    shown: dict[str, object] = {}

    class Noted(metrics.ProxyMetrics):
        def add_gauge(self, name: str, explanation: str, read: object) -> None:
            shown[name] = read

    task_metrics.register(Noted(), None)  # type: ignore[arg-type]
    scaler = find("production", "HorizontalPodAutoscaler", "inlier-worker")["spec"]
    (external,) = [metric["external"] for metric in scaler["metrics"] if metric["type"] == "External"]
    name = external["metric"]["name"]
    assert name in shown
    (expression,) = external["metric"]["selector"]["matchExpressions"]
    assert (expression["key"], expression["operator"]) == ("status", "In")
    assert set(expression["values"]) == set(store.OPEN)
    (rule,) = yaml.safe_load((FOLDER / "overlays/production/prometheus-adapter.yaml").read_text())["rules"]["external"]
    assert rule["name"]["as"] == name
    assert rule["seriesQuery"].startswith(f"{name}{{")
    assert "max(" in rule["metricsQuery"], "every proxy shows the whole queue"


def test_alerts_are_of_metrics_that_there_are() -> None:
    source = "".join(path.read_text() for path in (ROOT / "serving" / "proxy").glob("*metrics.py"))
    (rules,) = of_kind("production", "PrometheusRule")
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"]]
    assert len(alerts) >= 3
    for alert in alerts:
        named = set(re.findall(r"\binlier_\w+", alert["expr"]))
        assert named
        for name in named:
            assert f'"{name}"' in source, name
        assert f'namespace="{NAMESPACE}"' in alert["expr"]
        assert alert["annotations"]["summary"]


def endpoints(monitor: Document) -> Iterator[Document]:
    for endpoint in monitor["spec"]["endpoints"]:
        assert endpoint["path"] == "/metrics"
        yield endpoint


def test_the_proxy_is_measured_with_a_key() -> None:
    monitor = find("production", "ServiceMonitor", "inlier-proxy")
    service = find("production", "Service", "inlier-proxy")
    assert selects(monitor["spec"]["selector"], service["metadata"]["labels"])
    for endpoint in endpoints(monitor):
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
        assert endpoint["authorization"]["credentials"] == {"name": "inlier-metrics", "key": "api-key"}


def test_microservices_are_measured_and_held_up() -> None:
    deployment, service = microservice()
    monitor = find("production", "ServiceMonitor", "inlier-microservices")
    assert selects(monitor["spec"]["selector"], service["metadata"]["labels"])
    for endpoint in endpoints(monitor):
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    budget = find("production", "PodDisruptionBudget", "inlier-microservices")
    assert selects(budget["spec"]["selector"], pod_labels(deployment))


def test_the_ingress_speaks_tls_to_the_proxy() -> None:
    (ingress,) = of_kind("production", "Ingress")
    hosts = {rule["host"] for rule in ingress["spec"]["rules"]}
    assert {host for tls in ingress["spec"]["tls"] for host in tls["hosts"]} == hosts
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            service = find("production", "Service", backend["name"])
            assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_proxy_stops_within_its_time() -> None:
    from serving.proxy.server import GRACEFUL_SECONDS

    for overlay in ("local", "production"):
        spec = pod(find(overlay, "Deployment", "inlier-proxy"))
        (container,) = spec["containers"]
        command, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
        assert command == "sleep"
        assert int(seconds) + GRACEFUL_SECONDS + 5 <= spec["terminationGracePeriodSeconds"]


def test_the_worker_stops_within_its_time() -> None:
    from serving.tasks.children import STOP_SECONDS

    for overlay in ("local", "production"):
        spec = pod(find(overlay, "Deployment", "inlier-worker"))
        assert spec["terminationGracePeriodSeconds"] >= 3 * STOP_SECONDS
