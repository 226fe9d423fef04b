"""seldon-cli that finds the proxy of a cluster, through a port that the API server forwards."""

import base64
import json

import pytest

from serving.cli.seldon import main
from tests.serving.deploy.fake_cluster import FakeCluster
from tests.serving.deploy.proxies import RunningProxy
from tests.serving.deploy.test_kubernetes import with_proxy

CREDENTIALS = ("v1", "secrets", "inlier-credentials")
ADMIN = ("v1", "secrets", "inlier-admin")


@pytest.fixture
def seldon(tmp_path, monkeypatch, program):
    with RunningProxy(tmp_path / "proxy") as proxy, FakeCluster() as cluster:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("INLIER_HOME", "home")
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "kubeconfig")))
        with_proxy(cluster, proxy)
        held = base64.b64encode((tmp_path / "proxy/credentials").read_bytes()).decode()
        cluster.put(*CREDENTIALS, data={"credentials": held})

        yield lambda *arguments: program(["seldon-cli", *arguments], main), cluster
        assert not (tmp_path / "home").exists()


def test_keys_are_in_a_secret(seldon):
    run, cluster = seldon
    status, out, err = run("-q", "api", "--client-name", "test", "--endpoint", "/token")
    assert status == 0, err
    assert "access_token" in out
    assert run("client", "--action", "setup", "--client-name", "shop")[0] == 0
    made = json.loads(run("-q", "keys", "--action", "create", "--client-name", "shop")[1])
    held = json.loads(base64.b64decode(cluster.get(*CREDENTIALS)["data"]["credentials"]))
    assert held["local"]["shop"]["js"] == {"consumer_key": made["consumer_key"]}
    assert set(held["local"]) == {"test", "shop"}
    status, _, err = run("api", "--client-name", "shop", "--endpoint", "/js/predict", "--json", '{"data": {"a": 1}}')
    assert status == 1
    assert "no microservice yet" in err
    assert run("client", "--action", "delete", "--client-name", "shop")[0] == 0
    assert "shop" not in json.loads(base64.b64decode(cluster.get(*CREDENTIALS)["data"]["credentials"]))["local"]


def test_a_key_that_is_deleted_is_not_made_known_again(seldon):
    run, cluster = seldon
    assert run("keys", "--action", "delete", "--client-name", "test", "--scope", "js")[0] == 0
    held = json.loads(base64.b64decode(cluster.get(*CREDENTIALS)["data"]["credentials"]))
    assert set(held["local"]["test"]) == {"all"}
    assert run("keys", "--action", "delete", "--client-name", "test")[0] == 0
    assert "test" not in json.loads(base64.b64decode(cluster.get(*CREDENTIALS)["data"]["credentials"]))["local"]


def test_a_secret_that_somebody_else_changes_meanwhile(seldon):
    run, cluster = seldon
    puts = []

    def meddle(method, path):
        if method == "PUT" and not puts:
            puts.append(path)
            cluster.put(*CREDENTIALS, data=cluster.get(*CREDENTIALS)["data"] | {"more": "YQ=="})

    cluster.before_answer = meddle
    assert run("keys", "--action", "create", "--client-name", "test")[0] == 0
    assert set(cluster.get(*CREDENTIALS)["data"]) == {"credentials", "more"}


@pytest.mark.parametrize(
    ("forbidden", "message"),
    [
        (("get", "secrets"), "you may not read the Secret inlier-admin of the namespace inlier; INLIER_API_KEY"),
        (("get", "services"), "the cluster refuses: services is forbidden"),
        (("get", "pods/portforward"), "cannot forward a port to the pod inlier-proxy-0: "),
    ],
)
def test_no_permission(seldon, forbidden, message):
    run, cluster = seldon
    cluster.forbidden.add(forbidden)
    status, out, err = run("client", "--action", "list")
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_the_line_break_after_a_key_in_a_secret_is_none_of_it(seldon):
    run, cluster = seldon
    key = base64.b64decode(cluster.get(*ADMIN)["data"]["api-key"])
    cluster.put(*ADMIN, data={"api-key": base64.b64encode(key + b"\n").decode()})
    assert run("client", "--action", "list")[0] == 0
    cluster.put(*ADMIN, data={"api-key": base64.b64encode(b"\xff" + key).decode()})
    refused = "error: the API key should be printable ASCII characters and nothing else\n"
    assert run("client", "--action", "list") == (2, "", refused)


def test_no_proxy_there(seldon):
    run, cluster = seldon
    del cluster.objects[("v1", "pods", "inlier-proxy-0")]
    assert "no pod of the Service inlier-proxy" in run("client", "--action", "list")[2]
    del cluster.objects[("v1", "services", "inlier-proxy")]
    assert "there is no Service inlier-proxy in the namespace inlier" in run("client", "--action", "list")[2]
    assert "nowhere" in run("--context", "nowhere", "client", "--action", "list")[2]
