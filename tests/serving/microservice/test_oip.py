import copy
import json
from typing import Any

import numpy as np
import pytest

from serving import models
from serving.microservice.grpc_server import _Oip
from serving.protocols.wire import inference_pb2
from tests.serving.microservice import classes
from tests.serving.microservice.asgi import Answer, Client
from training.features import Features
from training.model import Model
from training.train import train

ROWS = [[2.1, 2.05, 1.95, 2.01], [0.0, 0.0, 0.0, 0.0]]
INFER = "/v2/models/model_inne/infer"


@pytest.fixture(scope="module")
def client(inne: Model) -> Client:
    return Client(models.INNE.of(inne))


def tensor(rows: Any = None, **more: Any) -> dict[str, Any]:
    rows = ROWS if rows is None else rows
    shape = list(np.shape(rows))
    return {"inputs": [{"name": "x", "shape": shape, "datatype": "FP64", "data": np.ravel(rows).tolist()}], **more}


def outputs(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    return {one["name"]: np.reshape(one["data"], one["shape"]) for one in answer.json["outputs"]}


def test_tensors_to_tensors(client: Client, inne: Model) -> None:
    answer = client(INFER, tensor(id="mine"))
    found = outputs(answer)
    scores = inne.detector.anomaly_score(np.array(ROWS))
    np.testing.assert_array_equal(found["anomaly_score"], scores)
    np.testing.assert_array_equal(found["complementary_score"], 1 - scores)
    assert found["label"].tolist() == [0, 1]
    assert answer.json["id"] == "mine"
    assert answer.json["model_name"] == "model_inne"
    assert answer.json["parameters"]["threshold"] == inne.threshold
    versioned = client(f"/v2/models/model_inne/versions/{inne.trained_at}/infer", tensor())
    np.testing.assert_array_equal(outputs(versioned)["anomaly_score"], scores)


def test_one_input_a_feature_in_any_order(client: Client) -> None:
    columns = np.array(ROWS).T
    inputs = [
        {"name": f"f{k + 1}", "shape": [2], "datatype": "FP64", "data": columns[k].tolist()} for k in (3, 1, 0, 2)
    ]
    expected = outputs(client(INFER, tensor()))["anomaly_score"]
    np.testing.assert_array_equal(outputs(client(INFER, {"inputs": inputs}))["anomaly_score"], expected)


@pytest.mark.parametrize("feature", ["x", "predict"])
def test_a_model_of_one_feature_takes_it_by_name_and_as_metadata_names_the_input(feature: str) -> None:
    rows = Features(np.arange(100.0)[:, None], (feature,))
    client = Client(models.DBSCAN.of(train("dbscan", rows, parameters={"eps": 2.0}, seed=0)))
    assert client("/v2/models/model_dbscan").json["inputs"][0]["name"] == "predict"
    for n_rows in (2, 20):
        for shape in ([n_rows], [n_rows, 1]):
            for name in ("predict", feature):
                one = {"name": name, "shape": shape, "datatype": "FP64", "data": [1e6] * n_rows}
                found = outputs(client("/v2/models/model_dbscan/infer", {"inputs": [one]}))
                assert found["label"].tolist() == [1] * n_rows
    wrong = client("/v2/models/model_dbscan/infer", {"inputs": [{**one, "name": "z"}]})
    assert wrong.status == 400
    assert "'z'" in wrong.json["error"]


def test_binary_both_ways(client: Client) -> None:
    rows = np.array(ROWS)
    one = {"name": "x", "shape": [2, 4], "datatype": "FP64", "parameters": {"binary_data_size": rows.nbytes}}
    head = json.dumps({"inputs": [one], "parameters": {"binary_data_output": True}}).encode()
    answer = client(INFER, head + rows.tobytes(), headers={"inference-header-content-length": str(len(head))})
    length = int(answer.headers["inference-header-content-length"])
    described = json.loads(answer.body[:length])["outputs"]
    scores = np.frombuffer(answer.body[length : length + 16])
    np.testing.assert_array_equal(scores, outputs(client(INFER, tensor()))["anomaly_score"])
    assert sum(one["parameters"]["binary_data_size"] for one in described) == len(answer.body) - length


def test_outputs_on_demand(client: Client) -> None:
    wanted = [{"name": "label"}, {"name": "anomaly_score"}]
    assert list(outputs(client(INFER, tensor(outputs=wanted)))) == ["label", "anomaly_score"]
    explained = outputs(client(INFER, tensor(parameters={"explain": True})))
    assert explained["feature_contributions"].shape == (2, 4)
    assert "feature_contributions" in outputs(client(INFER, tensor(), query="explain=1"))


def test_metadata_and_health(client: Client, inne: Model) -> None:
    assert client("/v2").json["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/model_inne/ready"):
        assert client(path).status == 200
    found = client("/v2/models/model_inne").json
    assert found["versions"] == [inne.trained_at]
    assert found["inputs"][0]["shape"] == [-1, 4]
    assert [one["name"] for one in found["outputs"]] == ["anomaly_score", "complementary_score", "label"]


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v2/models/other/infer", tensor(), 404, "only model_inne"),
        ("/v2/models/model_inne/versions/9/infer", tensor(), 404, "no version '9'"),
        ("/v2/models/other", None, 404, "'other'"),
        ("/v2/models/model_inne/nothing", None, 404, "nothing at"),
        ("/v2/nothing", None, 404, "nothing at"),
        (INFER, None, 405, "takes POST"),
        (INFER, b"{", 400, "not JSON"),
        (INFER, {}, 400, "inputs"),
        (INFER, tensor([[1.0, 2.0]]), 400, "rows of 4 numbers"),
        (INFER, tensor(outputs=[{"name": "x"}]), 400, "no output 'x'"),
    ],
)
def test_errors_as_the_protocol_has_them(client: Client, path: str, body: Any, status: int, message: str) -> None:
    answer = client(path, body)
    assert answer.status == status
    assert answer.json.keys() == {"error"}
    assert message in answer.json["error"]


def test_not_finite_numbers_in_bytes(client: Client) -> None:
    rows = np.array([[1.0, 2.0, np.nan, 4.0]])
    one = {"name": "x", "shape": [1, 4], "datatype": "FP64", "parameters": {"binary_data_size": rows.nbytes}}
    head = json.dumps({"inputs": [one]}).encode()
    answer = client(INFER, head + rows.tobytes(), headers={"inference-header-content-length": str(len(head))})
    assert answer.json == {"error": "row 1, feature f3: NaN is not a finite number"}
    assert client(INFER, b"{}", headers={"inference-header-content-length": "x"}).status == 400


@pytest.mark.parametrize("wire", ["REST", "gRPC"])
def test_what_began_with_a_model_names_it_though_another_has_taken_its_place(inne: Model, wire: str) -> None:
    new = copy.copy(inne)
    new.trained_at = "2030-01-01T00:00:00+00:00"

    class ReplacedMeanwhile(models.INNE):
        def predict(self, X: Any, names: Any = None, meta: Any = None) -> Any:
            scores = super().predict(X, names, meta)
            client.service.replace(models.INNE.of(new))
            return scores

    client = Client(ReplacedMeanwhile.of(inne))
    if wire == "REST":
        answer = client(INFER, tensor()).json
        named = (answer["model_version"], answer["parameters"]["version"])
    else:
        request = inference_pb2.ModelInferRequest(model_name="model_inne")
        asked = request.inputs.add(name="x", shape=[2, 4], datatype="FP64")
        asked.contents.fp64_contents.extend(np.ravel(ROWS))
        found, outcome = _Oip(client.service).calls()["ModelInfer"](request)
        client.service.count("infer", 200, 0.1, outcome)
        named = (found.model_version, found.parameters["version"].string_param)
    assert named == (inne.trained_at, inne.trained_at)
    assert client.service.version == new.trained_at
    assert b'inlier_recent_rows{model_name="model_inne"} 0' in client("/metrics").body


def test_any_class() -> None:
    client = Client(classes.Full(offset=2), unit_id="full")
    assert outputs(client("/v2/models/full/infer", tensor([[1.0, 2.0]])))["predict"].tolist() == [[3.0, 4.0]]
    assert client("/v2/models/full").json["versions"] == []
    assert Client(classes.Echo())("/v2/models/Echo/infer", tensor()).status == 500


def test_not_ready_while_stopping(inne: Model) -> None:
    client = Client(models.INNE.of(inne))
    client.service.draining = True
    assert client("/v2/health/ready").json == {"error": "about to stop"}
    assert client("/v2/health/live").status == 200
