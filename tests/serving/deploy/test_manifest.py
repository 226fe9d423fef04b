import json
from dataclasses import replace

import pytest

from serving.deploy import manifest
from serving.deploy.service import ModelFile, from_image, from_model
from serving.errors import DeployError
from serving.microservice.server import STOP_SECONDS
from serving.settings import DeploySettings


def rendered(replicas=1):
    service = from_image("inne", "seldonio/simulation_inne:1.0.1", "rest", 1.0, DeploySettings())
    return manifest.render(service, DeploySettings(), replicas)["items"]


def test_a_deployment_and_a_service():
    deployment, service = rendered(replicas=3)
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert deployment["spec"]["replicas"] == 3
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels["name"] == "inne"
    assert labels["service"] == "seldon"
    for selector in (deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
        assert selector.items() <= labels.items()
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "inlier/inne:0.1.0"
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_the_pod_is_locked_down_and_probed():
    pod = rendered()[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    assert container["resources"].keys() == {"requests", "limits"}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_no_placeholder_is_left():
    assert "$" not in json.dumps(rendered())


def test_a_model_file_is_fetched_before_the_container_starts():
    service = from_model("mine", "model.pkl", "rest", 1.0, DeploySettings())
    service = replace(service, file=ModelFile("microservices/mine/x.pkl", "a" * 64, None))
    pod = manifest.render(service, DeploySettings(namespace="there"))["items"][0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (initial,) = pod["initContainers"]
    assert container["image"] == initial["image"] == DeploySettings().stock_image
    assert container["args"] == ["/mnt/models/model.pkl"]
    url = "http://inlier-proxy:8000/files/microservices/mine/x.pkl"
    assert initial["command"] == ["python", "-m", "serving.deploy.fetch", url, "a" * 64, "/mnt/models/model.pkl"]
    assert initial["env"][0]["valueFrom"]["secretKeyRef"] == {"name": "inlier-reader", "key": "api-key"}
    assert "inlier-reader" not in json.dumps(container)
    assert initial["securityContext"] == container["securityContext"]
    assert {"name": "model", "mountPath": "/mnt/models", "readOnly": True} in container["volumeMounts"]
    assert {"name": "model", "emptyDir": {}} in pod["volumes"]


def test_a_broken_version_never_takes_the_old_one_away():
    spec = rendered()[0]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = spec["template"]["spec"]
    assert pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]
    assert pod["terminationGracePeriodSeconds"] >= 5 + STOP_SECONDS


def test_writing(tmp_path):
    path = manifest.write(tmp_path / "k8s" / "conf", "inne", {"a": 1})
    assert path.name == "microservice-inne.json"
    assert json.loads(path.read_text()) == {"a": 1}
    assert [each.name for each in path.parent.iterdir()] == ["microservice-inne.json"]
    (tmp_path / "file").write_text("")
    with pytest.raises(DeployError, match="--conf names another folder"):
        manifest.write(tmp_path / "file", "inne", {})
