"""start-microservice on a cluster: the whole command, a proxy and an API server, over real HTTP."""

import base64
import json
import signal

import pytest

from serving.cli.start_microservice import main
from tests.serving.deploy.fake_cluster import NAMESPACE, FakeCluster
from tests.serving.deploy.proxies import RunningProxy

SEEDS = ("--client", "test", "-i", "inne", "seldonio/simulation_inne:1.0.1", "rest", "1.0")


def image(name, tag, ratio="1.0", kind="rest"):
    return ("--client", "test", "-i", name, tag, kind, ratio)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with RunningProxy(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture
def cluster(tmp_path, proxy, monkeypatch):
    with FakeCluster() as cluster:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("INLIER_HOME", "home")
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "kubeconfig")))
        monkeypatch.setattr("serving.deploy.kubernetes.POLL_SECONDS", 0.01)
        monkeypatch.setattr("serving.deploy.lease.POLL_SECONDS", 0.01)
        with_proxy(cluster, proxy)
        yield cluster


def with_proxy(cluster, proxy):
    labels = {"app.kubernetes.io/name": "inlier", "app.kubernetes.io/component": "proxy"}
    ports = [{"name": "http", "port": 8000, "targetPort": "http"}]
    cluster.put("v1", "services", "inlier-proxy", spec={"selector": labels, "ports": ports})
    container = {"name": "proxy", "image": "inlier/proxy", "ports": [{"name": "http", "containerPort": 8000}]}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    cluster.put(
        "v1", "pods", "inlier-proxy-0", metadata={"labels": labels}, spec={"containers": [container]}, status=ready
    )
    for name, role in (("inlier-admin", "admin"), ("inlier-reader", "read")):
        cluster.put("v1", "secrets", name, data={"api-key": base64.b64encode(proxy.key(role).encode()).decode()})
    cluster.forward_to = proxy.port


@pytest.fixture
def start(cluster, program):
    return lambda *arguments: program(["start-microservice", *arguments], main)


def test_the_seeds_command(start, cluster, proxy, tmp_path):
    status, _, err = start(*SEEDS)
    assert status == 0, err
    assert f"runtime: kubernetes, because the current context of {tmp_path}/kubeconfig answers" in err
    assert "inne: inlier/inne:0.1.0 stands for seldonio/simulation_inne:1.0.1" in err
    assert "inne: 1 of 1 replicas new, 0 ready" in err
    assert "inne: ready after" in err
    assert err.endswith("client test: inne 1\n")
    written = json.loads((tmp_path / "k8s/conf/microservices/microservice-inne.json").read_text())
    assert [item["kind"] for item in written["items"]] == ["Deployment", "Service"]
    assert cluster.serving("inne") == ["inlier/inne:0.1.0"]
    assert cluster.deployment("inne")["metadata"]["labels"].items() >= {"name": "inne", "service": "seldon"}.items()
    (variation,) = proxy.variations()
    assert (variation["label"], variation["kind"]) == ("inne", "rest")
    assert variation["url"] == f"http://inne.{NAMESPACE}.svc:9000/predict"
    assert "secret-token" not in err
    assert proxy.key("admin") not in err


def test_the_same_again_rolls_nothing(start, cluster):
    assert start(*SEEDS)[0] == 0
    before = cluster.deployment("inne")
    status, _, err = start(*SEEDS)
    assert status == 0
    assert "inne: unchanged" in err
    after = cluster.deployment("inne")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"] == 1


def test_an_a_b_test_and_its_end(start, cluster, proxy):
    parts = [("a", "0.7"), ("b", "0.2"), ("c", "0.1")]
    services = [word for name, ratio in parts for word in ("-i", name, "inlier/inne:0.1.0", "rest", ratio)]
    status, _, err = start("--client", "test", *services, "--replicas", "2")
    assert status == 0, err
    assert {each["label"]: each["ratio"] for each in proxy.variations()} == {"a": 0.7, "b": 0.2, "c": 0.1}
    assert len(cluster.serving("b")) == 2
    out = start("--status")[1]
    assert (
        f"a  version 1  ready (Deployment)  http://a.{NAMESPACE}.svc:9000/predict  test 0.7  inlier/inne:0.1.0" in out
    )
    status, _, err = start("--remove", "a")
    assert status == 2
    assert "gets a share of the requests of client 'test'" in err
    status, _, err = start(*SEEDS)
    assert status == 0
    for name in ("a", "b", "c"):
        assert f"{name}: runs on without a client; start-microservice --remove {name} stops it\n" in err
    for name in ("a", "b", "c"):
        status, _, err = start("--remove", name)
        assert status == 0, err
        assert cluster.deployment(name) is None
        assert cluster.get("v1", "services", name) is None
    assert start("--remove", "a")[2].endswith("there is no microservice 'a'; there are: inne\n")
    assert start("--remove", "inne")[0] == 0
    assert proxy.variations() == []


def test_a_roll_over(start, cluster):
    assert start(*image("inne", "shop/inne:1"))[0] == 0
    status, _, err = start(*image("inne", "shop/inne:2"))
    assert status == 0
    assert "inne: rolling over" in err
    assert cluster.serving("inne") == ["shop/inne:2"]
    assert "inne  version 2" in start("--status")[1]


AUTOSCALER = "kube-controller-manager"


def replicas(cluster):
    return cluster.deployment("inne")["spec"]["replicas"]


def test_what_an_autoscaler_has_set_stays_its_own(start, cluster):
    assert start(*image("inne", "shop/inne:1"))[0] == 0
    assert cluster.scalers("inne") == {"inlier"}
    cluster.scale("inne", 3)
    status, _, err = start(*image("inne", "shop/inne:2"))
    assert status == 0, err
    assert cluster.serving("inne") == ["shop/inne:2"] * 3
    assert (replicas(cluster), cluster.scalers("inne")) == (3, {AUTOSCALER})
    assert start(*image("inne", "shop/inne:2"), "--replicas", "2")[0] == 0  # unless a person says so
    assert (replicas(cluster), cluster.scalers("inne")) == (2, {"inlier"})


def test_what_an_autoscaler_sets_meanwhile_is_not_put_back(start, cluster):
    assert start(*image("inne", "shop/inne:1"))[0] == 0
    cluster.behaviour["shop/broken:1"] = "never ready"

    def scale(method, path):
        found = cluster.objects["apps/v1", "deployments", "inne"]
        if "shop/broken:1" in str(found["spec"]):
            cluster.before_answer = lambda method, path: None
            cluster.scale("inne", 4)

    cluster.before_answer = scale
    assert start(*image("inne", "shop/broken:1"), "--timeout", "1")[0] == 2
    assert "shop/inne:1" in str(cluster.deployment("inne")["spec"])
    assert (replicas(cluster), cluster.scalers("inne")) == (4, {AUTOSCALER})


def test_a_number_of_replicas_that_was_taken_over_is_put_back(start, cluster):
    assert start(*image("inne", "shop/inne:1"))[0] == 0
    cluster.scale("inne", 3)
    cluster.behaviour["shop/broken:1"] = "never ready"
    assert start(*image("inne", "shop/broken:1"), "--replicas", "2", "--timeout", "1")[0] == 2
    assert replicas(cluster) == 3


FAILURES = {
    "not pulled": "the image shop/broken:1 is not pulled: ErrImagePull: failed to pull and unpack",
    "crashes": "the container microservice ends while it is starting (Error, status 2)",
    "no node": "no node takes it: 0/3 nodes are available: 3 Insufficient cpu.",
    "refused": 'its pods are refused: pods "x" is forbidden: exceeded quota',
    "never ready": "was not ready within 1 s (1 of 1 replicas new, 0 ready",
}


@pytest.mark.parametrize(
    ("behaviour", "there"),
    [
        pytest.param(behaviour, there, marks=[] if there else [pytest.mark.slow], id=f"{behaviour}-{there}")
        for behaviour in FAILURES
        for there in (True, False)
    ],
)
def test_a_failed_roll_out_leaves_the_old_version(start, cluster, proxy, tmp_path, behaviour, there):
    cluster.behaviour["shop/broken:1"] = behaviour
    manifest = tmp_path / "k8s/conf/microservices/microservice-inne.json"
    if there:
        assert start(*image("inne", "shop/inne:1"))[0] == 0
        before = manifest.read_text(), cluster.deployment("inne")["spec"], cluster.get("v1", "services", "inne")["spec"]
    variations = proxy.variations()

    status, out, err = start(*image("inne", "shop/broken:1"), "--timeout", "1")
    assert (status, out) == (2, "")
    assert f"error: inne: {FAILURES[behaviour]}" in err
    assert ("what ran before is put back" if there else "it is removed again") in err
    assert ("error: the model file is damaged" in err) == (behaviour == "crashes")
    assert proxy.variations() == variations
    if there:
        assert cluster.serving("inne") == ["shop/inne:1"]
        after = manifest.read_text(), cluster.deployment("inne")["spec"], cluster.get("v1", "services", "inne")["spec"]
        assert after == before
        status, _, err = start(*image("inne", "shop/inne:1"))
        assert status == 0, err
    else:
        assert cluster.deployment("inne") is None
        assert cluster.get("v1", "services", "inne") is None
        assert not manifest.exists()


def test_one_of_two_that_fails_takes_the_other_back(start, cluster, proxy):
    assert start(*image("a", "shop/a:1"))[0] == 0
    cluster.behaviour["shop/broken:1"] = "not pulled"
    status, _, _ = start(*image("a", "shop/a:2", "0.5"), "-i", "b", "shop/broken:1", "rest", "0.5")
    assert status == 2
    assert cluster.deployment("b") is None
    assert cluster.deployment("a")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop/a:1"
    assert [each["label"] for each in proxy.variations()] == ["a"]


def test_a_proxy_that_refuses_the_switch_leaves_the_old_version(start, cluster, proxy):
    assert start(*image("inne", "shop/inne:1"))[0] == 0

    def vanish(method, path):
        if cluster.serving("inne") == ["shop/inne:2"]:
            cluster.forward_to = 1  # nobody listens there

    cluster.before_answer = vanish
    status, _, err = start(*image("inne", "shop/inne:2"))
    cluster.before_answer = lambda method, path: None
    assert status == 2
    assert "proxy" in err.splitlines()[-1]
    cluster.forward_to = proxy.port
    assert cluster.deployment("inne")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop/inne:1"


@pytest.mark.parametrize("there", [True, False], ids=["old", "new"])
def test_an_interruption_leaves_the_old_version(start, cluster, proxy, monkeypatch, there):
    if there:
        assert start(*image("inne", "shop/inne:1"))[0] == 0
    before = cluster.deployment("inne"), proxy.variations()
    cluster.behaviour["shop/slow:1"] = "never ready"
    naps = []

    def interrupted(seconds):
        naps.append(seconds)
        if len(naps) == 4:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("serving.deploy.kubernetes.time.sleep", interrupted)
    status, _, err = start(*image("inne", "shop/slow:1"))
    assert (status, err.splitlines()[-1]) == (130, "error: interrupted")
    after = cluster.deployment("inne"), proxy.variations()
    assert after[1] == before[1]
    assert (after[0] or {}).get("spec") == (before[0] or {}).get("spec")
    lease = cluster.get("coordination.k8s.io/v1", "leases", "inlier-start-microservice")
    assert "holderIdentity" not in lease["spec"]


def test_kinds_that_one_may_not_look_at_hold_nothing_up(start, cluster):
    cluster.groups.add("machinelearning.seldon.io/v1")
    cluster.forbidden.add(("list", "seldondeployments"))
    assert start(*SEEDS)[0] == 0
    assert "cannot list" in start("--status", "--format", "seldondeployment")[2]


@pytest.mark.parametrize(
    ("forbidden", "message"),
    [
        (("create", "leases"), 'cannot create resource "leases"'),
        (("patch", "deployments"), 'cannot patch resource "deployments"'),
        (("patch", "services"), 'cannot patch resource "services"'),
        (("get", "pods/portforward"), "403"),
        (("get", "secrets"), "you may not read the Secret inlier-admin of the namespace inlier; INLIER_API_KEY"),
    ],
)
def test_no_permission_changes_nothing(start, cluster, tmp_path, forbidden, message):
    cluster.forbidden.add(forbidden)
    status, out, err = start(*SEEDS)
    assert (status, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert cluster.deployment("inne") is None
    assert cluster.get("v1", "services", "inne") is None
    assert not list((tmp_path / "k8s").rglob("*.json")) if (tmp_path / "k8s").exists() else True


def test_without_a_look_at_the_pods_the_deadline_tells(start, cluster):
    cluster.behaviour["shop/broken:1"] = "not pulled"
    cluster.forbidden |= {("list", "pods"), ("list", "replicasets")}
    cluster.put("v1", "pods", "x", metadata={"labels": {}}, status={})
    status, _, err = start(*SEEDS, "--server", "http://127.0.0.1:9")
    assert status == 2
    assert "no proxy answers at http://127.0.0.1:9" in err


def test_what_is_somebody_elses_is_left_alone(start, cluster):
    cluster.put("v1", "services", "inne", metadata={"labels": {"app": "other"}}, spec={})
    status, _, err = start(*SEEDS)
    assert status == 2
    assert err.splitlines()[-1] == (
        "error: inne: the Service inne of the namespace inlier is not Inlier's; take another name"
    )
    cluster.put("v1", "services", "inlier-proxy2", metadata={"labels": {}}, spec={})
    assert start("--remove", "inlier-proxy2")[0] == 2
    assert cluster.get("v1", "services", "inlier-proxy2") is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (image("1st", "x:1"), "begins with a letter"),
        (image("inne", "x:1", "0.5"), "add up to 0.5"),
        (("--client", "test", "-p", "mine", "nowhere.pkl", "rest", "1"), "no model file nowhere.pkl"),
        (("--client", "test", "-p", "mine", "s3://b/m", "rest", "1"), "fetched by the formats seldondeployment"),
        (("--client", "nobody", "-i", "inne", "x:1", "rest", "1"), "no client 'nobody'"),
        ((*SEEDS, "--format", "seldondeployment"), "is its operator installed?"),
        ((*SEEDS, "--context", "elsewhere"), "elsewhere"),
        ((*SEEDS, "--namespace", "nowhere"), "no Service inlier-proxy in the namespace nowhere"),
    ],
)
def test_bad_input_changes_nothing(start, cluster, arguments, message):
    before = {key: each["metadata"]["resourceVersion"] for key, each in cluster.objects.items()}
    status, out, err = start(*arguments)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert len([line for line in err.splitlines() if not line.startswith("runtime: ")]) == 1
    assert {key: each["metadata"]["resourceVersion"] for key, each in cluster.objects.items()} == before


def test_no_cluster(start, cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", "")
    for runtime in ("auto", "kubernetes"):
        status, _, err = start(*SEEDS, "--runtime", runtime)
        assert status == 2
        assert "there is no cluster: no kubeconfig" in err
        assert len(err.splitlines()) == 1
    (tmp_path / "broken").write_text("{")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "broken"))
    assert "kubeconfig" in start(*SEEDS, "--runtime", "kubernetes")[2]
    gone = (tmp_path / "kubeconfig").read_text().replace(cluster.url, "http://127.0.0.1:9")
    (tmp_path / "gone").write_text(gone)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "gone"))
    status, _, err = start(*SEEDS, "--runtime", "kubernetes")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "does not answer at http://127.0.0.1:9" in err


def test_two_at_once_take_turns(start, cluster):
    lease = "coordination.k8s.io/v1", "leases", "inlier-start-microservice"
    cluster.put(*lease, spec={"holderIdentity": "another", "leaseDurationSeconds": 15})
    looks = []

    def release(method, path):
        if path.endswith(f"/leases/{lease[2]}"):
            looks.append(method)
            if looks == ["GET"] * 3:
                cluster.put(*lease, spec={})

    cluster.before_answer = release
    status, _, err = start(*SEEDS)
    assert status == 0, err
    assert err.count("another start-microservice is at work; waiting for it ...") == 1
    assert "holderIdentity" not in cluster.get(*lease)["spec"]


def test_a_holder_that_died_is_not_waited_for_for_ever(start, cluster):
    spec = {"holderIdentity": "killed", "leaseDurationSeconds": 0.2}
    cluster.put("coordination.k8s.io/v1", "leases", "inlier-start-microservice", spec=spec)
    assert start(*SEEDS)[0] == 0


def test_no_wait(start, cluster, proxy):
    cluster.behaviour["shop/slow:1"] = "never ready"
    before = proxy.variations()
    status, _, err = start(*image("slow", "shop/slow:1"), "--no-wait")
    assert status == 0
    assert "its requests go where they went" in err
    assert cluster.deployment("slow") is not None
    assert proxy.variations() == before


def test_a_model_file_is_shipped(start, cluster, proxy, inne_file):
    status, _, err = start("--client", "test", "-p", "mine", str(inne_file), "rpc", "1.0")
    assert status == 0, err
    pod = cluster.deployment("mine")["spec"]["template"]["spec"]
    command = pod["initContainers"][0]["command"]
    assert command[3].startswith("http://inlier-proxy:8000/files/microservices/mine/")
    assert "is in the storage of the proxy" in err
    assert proxy.variations()[0]["url"] == f"grpc://mine.{NAMESPACE}.svc:5000"
    key = command[3].partition("/files/")[2]
    again = start("--client", "test", "-p", "mine", key, "rpc", "1.0")
    assert again[0] == 0, again[2]
    del cluster.objects[("v1", "secrets", "inlier-reader")]
    status, _, err = start("--client", "test", "-p", "mine", str(inne_file), "rpc", "1.0")
    assert status == 2
    assert "no Secret inlier-reader" in err


@pytest.mark.parametrize("form", ["seldondeployment", "inferenceservice"])
def test_other_formats(start, cluster, proxy, form):
    group = {"seldondeployment": "machinelearning.seldon.io/v1", "inferenceservice": "serving.kserve.io/v1beta1"}[form]
    cluster.groups.add(group)
    status, _, err = start(*SEEDS, "--format", form)
    assert status == 0, err
    assert cluster.get(group, f"{form}s", "inne") is not None
    assert cluster.deployment("inne") is None
    expected = {
        "seldondeployment": "http://inne-default.inlier.svc.cluster.local:8000/api/v1.0/predictions",
        "inferenceservice": "http://inne-predictor.inlier.svc.cluster.local/predict",
    }
    assert proxy.variations()[0]["url"] == expected[form]
    assert "remove it first" in start(*SEEDS)[2]
    assert start("--remove", "inne")[0] == 0
    assert cluster.get(group, f"{form}s", "inne") is None
    assert start("--client", "test", "-p", "far", "s3://bucket/model", "rest", "1", "--format", form)[0] == 0
    assert start("--remove", "far")[0] == 0
