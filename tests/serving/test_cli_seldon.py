"""seldon-cli against a proxy on a real socket, with a microservice that answers what a test wants."""

import json
import stat
import threading

import pytest
from werkzeug.serving import make_server

from serving.cli.seldon import RECOMMENDATIONS, main
from serving.deploy.credentials import Credentials
from serving.deploy.first_start import first_start
from serving.proxy.app import PREDICTOR, create_app
from serving.proxy.database import Database, sqlite_url
from serving.proxy.rpc_front import RpcFront
from serving.settings import GatewaySettings, ProxySettings
from tests.serving.proxy.fake_microservice import FakeMicroservice

VARIATIONS = {
    "variations": [
        {
            "config": {
                "algorithms": [
                    {
                        "name": "externalPredictionServer",
                        "config": [{"name": "io.seldon.algorithm.external.url", "value": "set by the fixture"}],
                    }
                ]
            },
            "label": "sum",
            "ratio": 1.0,
        }
    ]
}


@pytest.fixture
def seldon(tmp_path, monkeypatch, program):
    """Run seldon-cli on a fresh home; gives its status, output and errors."""
    monkeypatch.setenv("INLIER_HOME", str(tmp_path))
    database = Database(sqlite_url(tmp_path / "inlier.db"))
    first_start(database, Credentials(tmp_path / "credentials"))
    app = create_app(ProxySettings(), GatewaySettings(), database)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("INLIER_SERVER", f"http://127.0.0.1:{server.port}")
    front = RpcFront(app.extensions[PREDICTOR], threads=2, max_bytes=100_000)
    monkeypatch.setenv("INLIER_PROXY_GRPC_PORT", str(front.start("127.0.0.1", 0)))

    yield lambda *arguments: program(["seldon-cli", *arguments], main)
    front.stop(0)
    server.shutdown()
    thread.join()
    server.server_close()
    database.close()


@pytest.fixture
def file_of_variations(tmp_path):
    microservice = FakeMicroservice()
    config = VARIATIONS["variations"][0]["config"]["algorithms"][0]["config"]
    config[0]["value"] = microservice.url
    path = tmp_path / "variations.json"
    path.write_text(json.dumps(VARIATIONS))
    yield str(path)
    microservice.close()


def api(*more, client="test", endpoint="/js/predict"):
    return ("api", "--client-name", client, "--endpoint", endpoint, *more)


ROW = ("--json", '{"data": {"a": 1, "b": 2}}')


def test_variations_are_created_shown_and_deleted(seldon, file_of_variations):
    create = ("predict_alg", "--client-name", "test", "--action", "create", "-f", file_of_variations)
    status, out, err = seldon("-q", *create)
    assert (status, err) == (0, "")
    assert json.loads(out) == VARIATIONS
    for action in ("list", "show", "commit"):
        assert seldon("-q", "predict_alg", "--client-name", "test", "--action", action)[1] == out
    status, _, err = seldon("predict_alg", "--client-name", "test", "--action", "add", "-f", file_of_variations)
    assert status == 2
    assert "add up to 2" in err
    assert seldon("predict_alg", "--client-name", "test", "--action", "delete")[0] == 0
    assert json.loads(seldon("-q", "predict_alg", "--client-name", "test", "--action", "show")[1]) == {"variations": []}
    assert "-f FILE" in seldon("predict_alg", "--client-name", "test", "--action", "create")[2]


def test_a_fresh_home_predicts_without_naming_a_key(seldon, file_of_variations):
    seldon("predict_alg", "--client-name", "test", "--action", "create", "-f", file_of_variations)
    status, out, err = seldon("--quiet", *api(*ROW))
    assert (status, err) == (0, "")
    assert json.loads(out)["meta"]["variation"] == "sum"
    assert out.startswith('{\n  "meta": {\n')
    loud = seldon(*api(*ROW))[1]
    assert loud.startswith("response code 200\n{")
    assert json.loads(seldon("-q", *api(*ROW, endpoint="/predict"))[1])["predictions"] == json.loads(out)["predictions"]
    assert "access_token" in json.loads(seldon("-q", *api(endpoint="/token"))[1])
    status, out, err = seldon("-q", "--debug", *api(*ROW))
    assert "GET http://127.0.0.1" in err
    assert "consumer_key" not in err


def test_the_same_prediction_over_grpc(seldon, file_of_variations):
    rpc = ("rpc", "--client-name", "test")
    status, out, err = seldon("-q", *rpc, *ROW)
    assert (status, out) == (2, "")
    assert "no microservice yet" in err
    seldon("predict_alg", "--client-name", "test", "--action", "create", "-f", file_of_variations)
    for row in (ROW, ("--json", '{"data": [{"a": 1, "b": 2}, {"b": 2.5, "a": 3}]}')):
        status, out, err = seldon("-q", *rpc, *row)
        assert (status, err) == (0, "")
        over_grpc, over_rest = json.loads(out), json.loads(seldon("-q", *api(*row))[1])
        assert over_grpc["meta"].pop("puid") != over_rest["meta"].pop("puid")
        assert over_grpc == over_rest
    assert seldon(*rpc, *ROW)[1].startswith("response code OK\n{")
    assert "Seldon/Predict 127.0.0.1:" in seldon("--debug", "-q", *rpc, *ROW)[2]
    for message, said in (("nope", "--json is not JSON"), ("{}", '"data" is missing'), ('{"data": {"a": "x"}}', "'a'")):
        status, out, err = seldon("-q", *rpc, "--json", message)
        assert (status, out, len(err.splitlines())) == (2, "", 1)
        assert said in err
    nobody = seldon(*rpc, *ROW, "--rpc-server", "127.0.0.1:1")
    assert nobody[0] == 2
    assert "no proxy answers over gRPC at 127.0.0.1:1; INLIER_PROXY_GRPC_PORT" in nobody[2]
    assert "no key of scope 'all'" in seldon("rpc", "--client-name", "nobody", *ROW)[2]


def test_an_empty_file_takes_no_variations_away(seldon, file_of_variations, tmp_path):
    seldon("predict_alg", "--client-name", "test", "--action", "create", "-f", file_of_variations)
    (tmp_path / "empty.json").write_text('{"variations": []}')
    empty = str(tmp_path / "empty.json")
    status, _, err = seldon("predict_alg", "--client-name", "test", "--action", "create", "-f", empty)
    assert status == 2
    assert '"variations" is empty' in err
    shown = json.loads(seldon("-q", "predict_alg", "--client-name", "test", "--action", "show")[1])
    assert len(shown["variations"]) == 1


def test_errors_go_to_standard_error(seldon, file_of_variations):
    status, out, err = seldon("-q", *api(*ROW))
    assert (status, out) == (1, "")
    assert "no microservice yet" in err
    seldon("predict_alg", "--client-name", "test", "--action", "create", "-f", file_of_variations)
    status, out, err = seldon(*api("--json", "nope"))
    assert (status, out) == (1, "response code 400\n")
    assert err.startswith("error: the parameter 'json' is not JSON")
    assert seldon("-q", *api())[2] == "error: the parameter 'json' is missing\n"
    assert "does not take POST" in seldon(*api(*ROW, "--method", "POST"))[2]
    assert "unknown endpoint '/x'" in seldon(*api(endpoint="/x"))[2]
    assert "no key of scope 'js' for client 'nobody'" in seldon(*api(*ROW, client="nobody"))[2]
    assert "\0" not in seldon(*api("--json", "\0"))[1]


def test_clients_and_keys(seldon, tmp_path):
    assert json.loads(seldon("-q", "client", "--action", "list")[1]) == ["test"]
    for expected in (201, 200):
        assert seldon("client", "--action", "setup", "--client-name", "shop")[1].startswith(f"response code {expected}")
    assert seldon("client", "--action", "setup")[0] == 2
    assert "'Shop'" in seldon("client", "--action", "setup", "--client-name", "Shop")[2]
    made = json.loads(seldon("-q", "keys", "--action", "create", "--client-name", "shop", "--scope", "all")[1])
    kept = json.loads((tmp_path / "credentials").read_text())["local"]["shop"]["all"]
    assert kept == {name: made[name] for name in ("consumer_key", "consumer_secret")}
    assert stat.S_IMODE((tmp_path / "credentials").stat().st_mode) == 0o600
    listed = seldon("-q", "keys", "--action", "list", "--client-name", "shop")[1]
    assert [key["scope"] for key in json.loads(listed)["shop"]] == ["all"]
    assert made["consumer_key"] not in listed
    assert set(json.loads(seldon("-q", "keys", "--action", "list")[1])) == {"shop", "test"}
    assert seldon("keys", "--action", "delete", "--client-name", "shop", "--scope", "js")[0] == 0
    assert json.loads((tmp_path / "credentials").read_text())["local"]["shop"] == {"all": kept}
    assert seldon("keys", "--action", "delete", "--client-name", "shop")[0] == 0
    assert json.loads(seldon("-q", "keys", "--action", "list", "--client-name", "shop")[1]) == {"shop": []}
    assert seldon("client", "--action", "delete", "--client-name", "shop")[0] == 0
    assert "shop" not in json.loads((tmp_path / "credentials").read_text())["local"]
    assert seldon("client", "--action", "delete", "--client-name", "shop")[2] == "error: there is no client 'shop'\n"


@pytest.mark.parametrize("command", RECOMMENDATIONS)
def test_recommendations_belonged_to_another_product(seldon, command):
    status, _, err = seldon(command, "--action", "list")
    assert status == 2
    assert f"{command!r} belonged to recommendations" in err


def test_usage_errors_are_one_line(seldon):
    for arguments in (["nope"], ["api"], ["api", "--nope"], ["client", "--action", "x"], ["rpc"]):
        status, _, err = seldon(*arguments)
        assert status == 2
        assert len(err.splitlines()) == 1, err


def test_without_a_command_it_says_which_there_are(seldon):
    status, _, err = seldon()
    assert status == 2
    assert err.startswith("Usage: seldon-cli ")
    assert "predict_alg" in err


def test_no_proxy(seldon):
    status, _, err = seldon("--server", "http://127.0.0.1:9", "client", "--action", "list")
    assert status == 2
    assert err == "error: no proxy answers at http://127.0.0.1:9; `inlier up` starts one\n"
    assert "is no address" in seldon("--server", "nowhere", "client", "--action", "list")[2]


def test_version_and_help(seldon):
    assert seldon("--version")[1].startswith("seldon-cli ")
    assert "predict_alg" in seldon("--help")[1]
