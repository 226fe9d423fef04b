import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from kombu.exceptions import OperationalError

from serving.proxy import anomaly_detection, models_api
from serving.proxy.database import Database
from serving.tasks import store
from training.artifacts import dump_model
from training.model import Model
from training.storage import Entry, FolderStorage, Storage
from training.synthetic import series
from training.train import train

TRAIN = {"model_name": "iNNE", "train_feature_file": "p/f/data"}
VALID = {"model_path": "p/f/m.pkl", "valid_feature_file": "p/f/data", "valid_label_file": "p/f/labels"}
INFER = {"detection_type": "multivariate", "model_path": "p/f/m.pkl", "features_file": "p/f/data"}
SERIES = {"detection_type": "univariate", "method_name": "iqr", "features_file": "p/f/series"}
BODIES = {"train": TRAIN, "valid": VALID, "infer": INFER}


@pytest.fixture(scope="module")
def iqr() -> Model:
    features, _ = series(n_rows=100, n_spikes=1, n_shifts=0, seed=0)
    return train("iqr", features)


def put(storage: Storage, path: str, content: bytes) -> None:
    with storage.write(path, overwrite=True) as file:
        file.write(content)


@pytest.fixture
def storage(tmp_path: Path, inne: Model, iqr: Model) -> Storage:
    storage = FolderStorage(tmp_path / "storage")
    put(storage, "p/f/data.csv", b"a,b\n1,2\n")
    put(storage, "p/f/labels.csv", b"a\n0\n")
    put(storage, "p/f/series.csv", b"Time,v\n2024-01-01,1\n")
    put(storage, "p/f/empty.csv", b"")
    put(storage, "p/f/twice.csv", b"a\n1\n")
    put(storage, "p/f/twice.parquet", b"a\n1\n")
    for name, model in (("m", inne), ("s", iqr)):
        data, sidecar = dump_model(model)
        put(storage, f"p/f/{name}.pkl", data)
        put(storage, f"p/f/{name}.pkl.json", sidecar)
    data, sidecar = dump_model(inne)
    put(storage, "p/f/tampered.pkl", data[:-1] + b"\0")
    put(storage, "p/f/tampered.pkl.json", sidecar)
    put(storage, "p/f/alone.pkl", data)
    return storage


def post(http: FlaskClient, kind: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    body = {"request_id": str(uuid.uuid4()), **fields}
    answer = http.post(f"/anomaly_detection/{kind}/", json=body)
    return answer.status_code, answer.json


def messages(tmp_path: Path) -> int:
    queue = tmp_path / "broker" / "queues" / "inlier"
    return len(list(queue.iterdir())) if queue.is_dir() else 0


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("kind", BODIES)
def test_a_task_is_taken_and_can_be_looked_at(http: FlaskClient, tmp_path: Path, kind: str, slash: str) -> None:
    id_ = str(uuid.uuid4())
    answer = http.post(f"/anomaly_detection/{kind}{slash}", json={"request_id": id_, **BODIES[kind]})
    assert answer.status_code == 200
    accepted = answer.json
    assert accepted == {"_id": id_, "task": kind, "status": "PENDING", "task_id": accepted["task_id"]}
    assert messages(tmp_path) == 1
    by_parameter = http.get(f"/anomaly_detection/{kind}{slash}", query_string={"_id": id_})
    by_path = http.get(f"/anomaly_detection/{kind}/{id_}{slash}")
    of_any_kind = http.get(f"/anomaly_detection/tasks/{id_}")
    assert by_parameter.status_code == 200
    assert by_parameter.json == by_path.json == of_any_kind.json
    assert by_parameter.json.items() >= accepted.items()
    assert by_parameter.json.keys() >= {*anomaly_detection.RESULTS[kind], "progress", "created_at", "error"}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("train", {**TRAIN, "train_label_file": "", "save_charts": None, "parameters": None}),
        ("train", {**TRAIN, "model_name": "Auto"}),
        ("train", {**TRAIN, "model_name": "INNE", "train_label_file": "p/f/labels.csv", "save_charts": True}),
        ("train", {**TRAIN, "parameters": {"n_estimators": 3}}),
        ("valid", {"model_path": "p/f/m.pkl", "valid_features_file": "p/f/data", "valid_labels_file": "p/f/labels"}),
        ("valid", {**VALID, "valid_features_file": "", "save_charts": False}),
        ("infer", {"detection_type": "multivariate", "model_path": "p/f/m", "feature_file": "p/f/data.csv"}),
        ("infer", {**INFER, "method_name": "", "save_charts": True}),
        ("infer", {**SERIES, "model_path": ""}),
        ("infer", {**SERIES, "method_name": "Quantile", "parameters": {"high": 0.9}}),
        ("infer", {**SERIES, "method_name": "Sub_PCA", "parameters": {"window": 24}}),
        ("infer", {**SERIES, "method_name": "Auto"}),
        ("infer", {**SERIES, "method_name": "auto", "model_path": "p/f/s.pkl"}),
        ("infer", {**SERIES, "model_path": "p/f/s.pkl"}),
        ("infer", {**SERIES, "method_name": None, "model_path": "p/f/s.pkl"}),
    ],
)
def test_every_way_to_ask(http: FlaskClient, kind: str, fields: dict[str, Any]) -> None:
    status, answer = post(http, kind, **fields)
    assert status == 200, answer


@pytest.mark.parametrize(
    ("kind", "fields", "status", "said"),
    [
        ("train", {"request_id": "1"}, 400, "request_id: '1' is not a UUID"),
        ("train", {"model_name": ""}, 400, "model_name: Field required"),
        ("train", {"model_name": 7}, 400, "model_name: Input should be a valid string"),
        ("train", {"save_charts": "yes"}, 400, "save_charts: Input should be a valid boolean"),
        ("train", {"model_nam": "x"}, 400, "unknown field 'model_nam'; the nearest is 'model_name'"),
        ("train", {"zzz": 1}, 400, "unknown field 'zzz'; known are request_id, save_charts"),
        ("train", {"model_name": "auto", "parameters": {"c": 3}}, 400, "parameters: auto chooses the detector"),
        ("train", {"model_name": "inme"}, 404, "model_name: there is no detector 'inme'; did you mean inne?"),
        ("train", {"parameters": {"n_estimatrs": 1}}, 400, "did you mean n_estimators?"),
        ("train", {"parameters": {"n_estimators": 0}}, 400, "'n_estimators' parameter of INNE must be"),
        ("train", {"parameters": {"x": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}}, 400, "nested more than 16 deep"),
        ("train", {"parameters": [1]}, 400, "parameters: Input should be a valid dictionary"),
        (
            "train",
            {"train_feature_file": "p/f/none"},
            404,
            "train_feature_file: 'p/f/none': no such file, nor with .csv",
        ),
        ("train", {"train_feature_file": "p/f"}, 404, "train_feature_file: 'p/f'"),
        ("train", {"train_feature_file": "p/f/twice"}, 400, "say which"),
        ("train", {"train_feature_file": "p/f/empty"}, 400, "train_feature_file: 'p/f/empty' is an empty file"),
        ("train", {"train_feature_file": "p/../p/f/data"}, 400, "'..' is not allowed"),
        ("train", {"train_feature_file": "/etc/passwd"}, 400, "does not start with /"),
        ("train", {"train_feature_file": "p/f/da\0ta"}, 400, "control character"),
        ("train", {"train_feature_file": "p\\f\\data"}, 400, "backslash"),
        ("train", {"train_feature_file": "p/link/passwd"}, 400, "symbolic link"),
        ("train", {"train_feature_file": "p/link.csv"}, 400, "symbolic link"),
        ("train", {"train_label_file": "p/f/none"}, 404, "train_label_file"),
        ("valid", {"valid_features_file": "p/f/data"}, 400, "'valid_feature_file' and 'valid_features_file'"),
        ("valid", {"valid_label_file": None}, 400, "valid_label_file: Field required"),
        ("valid", {"model_path": "p/f/none.pkl"}, 404, "model_path"),
        ("valid", {"model_path": "p/f/data.csv"}, 400, "model_path: 'p/f/data.csv' has no data.csv.json beside it"),
        ("valid", {"model_path": "p/f/alone.pkl"}, 400, "has no alone.pkl.json beside it"),
        ("valid", {"model_path": "p/f/tampered.pkl"}, 400, "is not what was written"),
        ("valid", {"parameters": {"a": 1}}, 400, "a trained model has its parameters"),
        ("infer", {"detection_type": "both"}, 400, "detection_type: Input should be 'univariate' or 'multivariate'"),
        ("infer", {"model_path": None}, 400, "model_path is required if detection_type is multivariate"),
        ("infer", {"method_name": "iqr"}, 400, "method_name is for detection_type univariate"),
        ("infer", {"detection_type": "univariate", "model_path": ""}, 400, "method_name is required"),
        ("infer", {"model_path": "p/f/s.pkl"}, 400, "the model is one of IQR, which is univariate, not multivariate"),
        ("infer", {**SERIES, "model_path": ""} | {"method_name": "mean"}, 404, "there is no detector 'mean'"),
        ("infer", {**SERIES, "model_path": ""} | {"method_name": "inne"}, 400, "it is iqr, quantile, persist, "),
        ("infer", {**SERIES, "model_path": "p/f/m.pkl"}, 400, "which is multivariate, not univariate"),
        (
            "infer",
            {**SERIES, "model_path": "", "method_name": "auto", "parameters": {"c": 1}},
            400,
            "parameters: auto chooses the method",
        ),
        ("infer", {**SERIES, "model_path": "p/f/s.pkl", "method_name": "persist"}, 400, "of IQR, not of Persist"),
        ("infer", {**SERIES, "model_path": "", "parameters": {"c": -1}}, 400, "'c' parameter of IQR"),
    ],
)
def test_what_is_wrong_is_said_at_once(
    http: FlaskClient,
    storage: Storage,
    tmp_path: Path,
    database: Database,
    kind: str,
    fields: dict[str, Any],
    status: int,
    said: str,
) -> None:
    (tmp_path / "storage/p/link").symlink_to("/etc")
    (tmp_path / "storage/p/link.csv").symlink_to("/etc/passwd")
    answered, answer = post(http, kind, **{**BODIES[kind], **fields})
    assert said in answer["error"]["message"]
    assert answered == status
    assert messages(tmp_path) == 0
    with database.browsing() as session:
        assert store.browse(session) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"x"', 400),
        (b'{"a": NaN}', 400),
        (b"\xff", 400),
        (b'{"parameters":' * 5000 + b"1" + b"}" * 5000, 400),
        (b"[" * 100_000, 400),
        (b'{"x": "' + b"x" * 1_000_001 + b'"}', 413),
    ],
)
def test_bodies_that_are_none(http: FlaskClient, body: bytes, status: int) -> None:
    answer = http.post("/anomaly_detection/train/", data=body, content_type="application/json")
    assert answer.status_code == status
    assert "error" in answer.json
    assert http.post("/anomaly_detection/train/", data=b"{}", content_type="text/plain").status_code == 415


def test_a_parameter_that_nobody_reads_is_refused(http: FlaskClient) -> None:
    assert http.post("/anomaly_detection/train/?wait=1", json={}).status_code == 400
    assert http.get("/anomaly_detection/train/?id=1").status_code == 400
    assert http.get("/anomaly_detection/train/").json["error"]["message"] == "the parameter '_id' is missing"


def test_the_same_request_is_the_same_task(http: FlaskClient, tmp_path: Path, storage: Storage) -> None:
    id_ = str(uuid.uuid4())
    first = post(http, "infer", request_id=id_, **INFER)
    again = {"feature_file": "p/f/data", "model_path": "p/f/m.pkl", "detection_type": "multivariate", "method_name": ""}
    storage.delete("p/f/data.csv")  # what was taken is not checked again
    assert post(http, "infer", request_id=id_.upper(), **again) == first
    assert messages(tmp_path) == 1
    assert post(http, "infer", request_id=id_, **(INFER | {"save_charts": True}))[0] == 409
    status, answer = post(http, "train", request_id=id_, **TRAIN)
    assert (status, answer["error"]["code"]) == (409, "CONFLICT")


def test_a_broker_that_is_away_loses_nothing(
    http: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr("celery.app.base.Celery.send_task", fail)
    status, answer = post(http, "train", **TRAIN)
    assert status == 200
    assert "the broker took no message" in caplog.text
    with database.browsing() as session:
        assert store.find(session, answer["_id"]).status == "PENDING"


def test_no_more_tasks_than_may_wait(http: FlaskClient) -> None:
    for _ in range(50):
        assert post(http, "train", **TRAIN)[0] == 200
    status, answer = post(http, "train", **TRAIN)
    assert (status, answer["error"]["code"]) == (429, "TOO_MANY_REQUESTS")


def test_list_cancel_and_forget(http: FlaskClient) -> None:
    ids = [post(http, kind, **fields)[1]["_id"] for kind, fields in BODIES.items()]
    tasks = "/anomaly_detection/tasks"

    def listed(**query: Any) -> list[str]:
        return [task["_id"] for task in http.get(tasks, query_string=query).json["tasks"]]

    assert listed() == ids[::-1]
    assert listed(task="valid") == [ids[1]]
    assert listed(limit=1, offset=1) == [ids[1]]
    assert http.delete(f"{tasks}/{ids[0]}").status_code == 409
    assert http.post(f"{tasks}/{ids[0]}/cancel").json["status"] == "REVOKED"
    assert http.post(f"{tasks}/{ids[0]}/cancel").json["status"] == "REVOKED"
    assert listed(status="REVOKED") == [ids[0]]
    assert http.delete(f"{tasks}/{ids[0]}").status_code == 204
    assert http.delete(f"{tasks}/{ids[0]}").status_code == 404
    assert http.post(f"{tasks}/{ids[0]}/cancel").status_code == 404
    assert http.get(f"{tasks}/{ids[0]}").status_code == 404
    assert listed() == ids[:0:-1]


def test_a_task_of_another_kind_is_not_found(http: FlaskClient) -> None:
    id_ = post(http, "train", **TRAIN)[1]["_id"]
    answer = http.get("/anomaly_detection/valid/", query_string={"_id": id_})
    assert answer.status_code == 404
    assert "it is of kind train" in answer.json["error"]["message"]


def test_models(http: FlaskClient, storage: Storage) -> None:
    models = "/anomaly_detection/models"
    found = http.get(models).json["models"]
    assert [(model["path"], model["detector"]) for model in found] == [
        ("p/f/m.pkl", "inne"),
        ("p/f/s.pkl", "iqr"),
        ("p/f/tampered.pkl", "inne"),
    ]
    assert http.get(models, query_string={"limit": 1, "after": "p/f/m.pkl"}).json["models"] == found[1:2]
    assert http.get(models, query_string={"folder": "q"}).json["models"] == []
    assert http.get(f"{models}/p/f/m.pkl").json == found[0]
    assert found[0]["versions"]["numpy"]
    assert http.get(f"{models}/p/f/alone.pkl").status_code == 404
    assert http.get(f"{models}/p/../m.pkl").status_code in (400, 404)
    put(storage, "p/f/m.pkl.json", json.dumps([1]).encode())
    assert http.get(f"{models}/p/f/m.pkl").json["detector"] is None
    assert http.delete(f"{models}/p/f/s.pkl").status_code == 204
    assert http.delete(f"{models}/p/f/s.pkl").status_code == 404
    assert not storage.exists("p/f/s.pkl.json")
    storage.delete("p/f/tampered.pkl")  # as a deletion leaves it whose second step failed
    assert http.delete(f"{models}/p/f/tampered.pkl").status_code == 204
    assert not storage.exists("p/f/tampered.pkl.json")
    assert http.delete(f"{models}/p/f/alone.pkl").status_code == 404


def test_a_sidecar_may_tell_anything(http: FlaskClient, storage: Storage) -> None:
    told = '{"detector": ["inne"], "sha256": 1, "trained_at": "2026", "versions": ' + '{"a":' * 500 + "0" + "}" * 501
    put(storage, "p/f/m.pkl.json", told.encode())
    shown = {model["path"]: model for model in http.get("/anomaly_detection/models").json["models"]}
    assert [shown["p/f/m.pkl"][name] for name in models_api.TOLD] == [None, "2026", None, None]
    assert shown["p/f/s.pkl"]["versions"]["numpy"]


def test_a_model_that_is_deleted_while_models_are_listed(
    http: FlaskClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = models_api.show

    def deleted_first(found: Storage, entry: Entry) -> dict[str, Any]:
        if entry.key == "p/f/s.pkl":
            storage.delete(f"{entry.key}.json")
        return shown(found, entry)

    monkeypatch.setattr(models_api, "show", deleted_first)
    found = http.get("/anomaly_detection/models").json["models"]
    assert [model["path"] for model in found] == ["p/f/m.pkl", "p/f/tampered.pkl"]


def test_a_model_whose_name_has_no_room_for_a_sidecar(http: FlaskClient, storage: Storage) -> None:
    path = f"p/f/{'x' * 193}.pkl"
    known = http.get("/anomaly_detection/models").json
    put(storage, path, b"x")
    assert http.get("/anomaly_detection/models").json == known
    assert http.get(f"/anomaly_detection/models/{path}").status_code == 400
    for kind, fields in (("valid", VALID), ("infer", INFER)):
        status, answer = post(http, kind, **fields | {"model_path": path})
        assert status == 400
        assert answer["error"]["message"].startswith("model_path: ")


@pytest.mark.parametrize(
    ("model_name", "parameters"),
    [
        ("iNNE", {"n_estimators": True}),
        ("iNNE", {"n_estimators": 10**9}),
        ("iNNE", {"n_estimators": 10**19}),
        ("iNNE", {"max_samples": [2, True]}),
        ("iNNE", {"max_samples": [2, "x"]}),
        ("iNNE", {"max_samples": [2, 1e300]}),
        ("iNNE", {"max_samples": [[2], [3, 4]]}),
        ("DBSCAN", {"eps": True}),
        ("IQR", {"c": [-1, 1]}),
        ("IQR", {"c": ["a", 1]}),
        ("IQR", {"c": [[1], 1]}),
        ("Quantile", {"low": 0.9, "high": 0.1}),
        ("Persist", {"window": "0h"}),
        ("Persist", {"window": ""}),
        ("Persist", {"window": "nan"}),
        ("Persist", {"window": "99999999d"}),
        ("Persist", {"window": "9" * 400 + "h"}),
    ],
)
def test_wrong_values_of_parameters_are_refused_at_once(
    http: FlaskClient, model_name: str, parameters: dict[str, Any]
) -> None:
    status, answer = post(http, "train", model_name=model_name, train_feature_file="p/f/data", parameters=parameters)
    assert status == 400
    assert answer["error"]["message"].startswith("parameters: ")
