"""Jobs on every kind of storage: what they write, what they tell, and that nothing stays of one that failed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detectors.errors import InlierError, UnknownDetector, UnknownFeatures
from tests.training.test_storage import put, read
from training.errors import (
    EmptyFile,
    FileExists,
    FileMissing,
    InvalidPath,
    JobError,
    JobStopped,
    LabelsDoNotMatch,
    ModelDamaged,
    ModelNotFound,
    ModelUntrusted,
    NoTimeColumn,
    NotNumbers,
    TooLarge,
    TrainingError,
    WrongKind,
)
from training.features import Features
from training.jobs import InferRequest, Job, Outcome, TrainRequest, ValidateRequest, infer, train, validate
from training.storage import FolderStorage, MemoryStorage, Storage, open_storage
from training.synthetic import clusters, series
from training.times import formatted

FEATURES, LABELS = "testprojectid1/testfileid1/cogen_feature", "testprojectid1/testfileid1/cogen_anomaly"
SERIES = "testprojectid2/testfileid1/sample_data"
FOLDER = "testprojectid1/testfileid1/anomaly_detection"


def upload(storage: Storage, key: str, features: Features) -> None:
    frame = pd.DataFrame(features.values, columns=list(features.names))
    if features.times is not None:
        frame.insert(0, "Time", formatted(features.times, "iso"))
    with storage.write(f"{key}.csv") as stream:
        frame.to_csv(stream, index=False)


def fill(storage: Storage) -> None:
    features, labels = clusters(seed=3)
    upload(storage, FEATURES, features)
    put(storage, f"{LABELS}.csv", ("label\n" + "\n".join(map(str, labels)) + "\n").encode())
    line, truth = series(n_rows=400, seed=4)
    upload(storage, SERIES, line)
    put(storage, "testprojectid2/testfileid1/truth.csv", ("label\n" + "\n".join(map(str, truth)) + "\n").encode())


@pytest.fixture(params=["memory", "folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    urls = {"memory": lambda: "memory:", "folder": lambda: str(tmp_path), "s3": lambda: f"s3://{bucket_of(request)}"}
    storage = open_storage(urls[request.param]())
    fill(storage)
    return storage


def bucket_of(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("bucket"))


@pytest.fixture
def job(storage: Storage) -> Job:
    return Job(storage, 1727161197, seed=7)


@pytest.fixture
def memory() -> Storage:
    storage = MemoryStorage()
    fill(storage)
    return storage


@pytest.fixture
def quick(memory: Storage) -> Job:
    """For what does not depend on the storage."""
    return Job(memory, 1727161197, seed=7)


def table(storage: Storage, key: str) -> pd.DataFrame:
    with storage.open(key) as stream:
        return pd.read_csv(stream)


def keys(storage: Storage, folder: str) -> list[str]:
    return [entry.key.removeprefix(f"{folder}/") for entry in storage.list(folder)]


class TestTrain:
    def test_what_is_written(self, job: Job) -> None:
        outcome = train(TrainRequest("DBSCAN", FEATURES), job)
        assert keys(job.storage, FOLDER) == []
        outcome.publish()
        names = ["1727161197_dbscan_model.pkl", "1727161197_dbscan_model.pkl.json", "1727161197_dbscan_predictions.csv"]
        assert keys(job.storage, FOLDER) == names
        result = outcome.result.as_dict()
        assert result["model_path"] == f"{FOLDER}/{names[0]}"
        assert result["predictions_label_file"] == f"{FOLDER}/{names[2]}"
        assert "metrics" not in result
        assert "predictions_charts_file" not in result
        assert result["parameters"]["min_samples"] == 5
        assert result["n_rows"] == 3005
        json.dumps(result, allow_nan=False)
        predictions = table(job.storage, result["predictions_label_file"])
        assert list(predictions.columns) == ["anomaly_score", "complementary_score", "label"]
        assert len(predictions) == 3005
        assert predictions.label.sum() == result["n_anomalies"]
        assert set(np.flatnonzero(predictions.label)) >= set(range(3000, 3005))

    def test_with_labels_and_charts(self, job: Job) -> None:
        pytest.importorskip("plotly")
        outcome = train(TrainRequest("iNNE", FEATURES, LABELS, save_charts=True), job)
        outcome.publish()
        result = outcome.result
        assert result.metrics is not None
        assert result.metrics["roc_auc"] > 0.99
        assert result.predictions_charts_file == f"{FOLDER}/1727161197_inne_charts.html"
        assert result.predictions_charts_image == f"{FOLDER}/1727161197_inne_charts.png"
        page = read(job.storage, result.predictions_charts_file)
        assert b"Confusion matrix" in page
        assert b"What drives the anomalies" in page
        assert read(job.storage, result.predictions_charts_image).startswith(b"\x89PNG")

    @pytest.mark.parametrize("detector", ["inne", "dbscan", "iqr", "quantile", "persist", "poly", "subpca"])
    def test_every_detector_with_labels(self, quick: Job, detector: str) -> None:
        pytest.importorskip("plotly")
        univariate = detector in ("iqr", "quantile", "persist", "poly", "subpca")
        files = (SERIES, "testprojectid2/testfileid1/truth") if univariate else (FEATURES, LABELS)
        outcome = train(TrainRequest(detector, *files, save_charts=True), quick)
        outcome.publish()
        assert outcome.result.metrics is not None
        assert outcome.result.metrics["f1"] > 0.5
        assert outcome.result.metrics["n_flagged"] == outcome.result.n_anomalies
        json.dumps(outcome.result.as_dict(), allow_nan=False)
        assert outcome.result.model_path is not None
        again = validate(ValidateRequest(outcome.result.model_path, *files), replace(quick, stamp=5))
        assert again.result.metrics is not None
        assert again.result.metrics["f1"] == outcome.result.metrics["f1"]

    def test_auto_names_the_files_after_what_it_chose(self, quick: Job) -> None:
        small, truth = clusters(n_per_cluster=60, seed=3)
        upload(quick.storage, "p/f/small", small)
        put(quick.storage, "p/f/truth.csv", ("label\n" + "\n".join(map(str, truth)) + "\n").encode())
        outcome = train(TrainRequest("auto", "p/f/small", "p/f/truth"), quick)
        outcome.publish()
        result = outcome.result
        assert result.model_path == f"p/f/anomaly_detection/1727161197_{result.detector}_model.pkl"
        assert result.metrics is not None
        assert result.metrics["search"]["detector"] == result.detector
        assert len(result.metrics["search"]["f1_interval"]) == 2
        assert train(TrainRequest("auto", "p/f/small"), replace(quick, stamp=2)).result.detector == "inne"

    def test_a_series(self, quick: Job) -> None:
        outcome = train(TrainRequest("persist", SERIES, parameters={"c": 5.0}), quick)
        outcome.publish()
        assert outcome.result.parameters["c"] == 5.0
        assert outcome.result.n_without_verdict == 1
        predictions = table(quick.storage, outcome.result.predictions_label_file)
        assert list(predictions.columns) == ["Time", "anomaly_score", "complementary_score", "label"]
        assert predictions.anomaly_score.isna().tolist() == [True] + [False] * 399

    def test_the_same_seed_gives_the_same_files(self, quick: Job) -> None:
        outcomes = [train(TrainRequest("inne", FEATURES), replace(quick, stamp=stamp)) for stamp in (1, 2)]
        for outcome in outcomes:
            outcome.publish()
        first, second = (read(quick.storage, outcome.result.predictions_label_file) for outcome in outcomes)
        assert first == second

    def test_parquet_and_files_at_the_root(self, quick: Job) -> None:
        pytest.importorskip("pyarrow")
        features, _ = clusters(seed=3)
        with quick.storage.write("rows.parquet") as stream:
            pd.DataFrame(features.values, columns=list(features.names)).to_parquet(stream)
        outcome = train(TrainRequest("dbscan", "rows"), quick)
        assert outcome.result.model_path == "anomaly_detection/1727161197_dbscan_model.pkl"
        outcome.discard()


@pytest.fixture
def trained(quick: Job) -> str:
    outcome = train(TrainRequest("DBSCAN", FEATURES), quick)
    outcome.publish()
    assert outcome.result.model_path is not None
    return outcome.result.model_path


@pytest.fixture
def later(quick: Job) -> Job:
    return replace(quick, stamp=quick.stamp + 1)


class TestValidate:
    def test_what_is_told(self, later: Job, trained: str) -> None:
        outcome = validate(ValidateRequest(trained, FEATURES, LABELS), later)
        outcome.publish()
        metrics = outcome.result.metrics
        assert metrics is not None
        assert {"precision", "recall", "f1", "accuracy", "specificity", "roc_auc", "average_precision"} < metrics.keys()
        assert sum(metrics["confusion_matrix"].values()) == metrics["n_rows"] == 3005
        assert metrics["recall"] == 1.0
        assert outcome.result.model_path is None
        assert outcome.result.predictions_label_file == f"{FOLDER}/1727161198_dbscan_predictions.csv"

    def test_what_is_undefined_is_null(self, later: Job, trained: str) -> None:
        put(later.storage, "p/none.csv", b"label\n" + b"0\n" * 3005)
        metrics = validate(ValidateRequest(trained, FEATURES, "p/none"), later).result.metrics
        assert metrics is not None
        assert metrics["recall"] is metrics["roc_auc"] is metrics["average_precision"] is None
        json.dumps(metrics, allow_nan=False)

    def test_a_series_with_charts(self, later: Job) -> None:
        pytest.importorskip("plotly")
        model = train(TrainRequest("iqr", SERIES), later)
        model.publish()
        assert model.result.model_path is not None
        request = ValidateRequest(model.result.model_path, SERIES, "testprojectid2/testfileid1/truth", save_charts=True)
        outcome = validate(request, replace(later, stamp=3))
        outcome.publish()
        assert outcome.result.predictions_charts_file is not None
        assert b"ROC" in read(later.storage, outcome.result.predictions_charts_file)


class TestInfer:
    def test_multivariate(self, later: Job, trained: str) -> None:
        outcome = infer(InferRequest("multivariate", f"{FEATURES}.csv", model_path=trained), later)
        outcome.publish()
        first = f"{FOLDER}/1727161197_dbscan_predictions.csv"
        assert read(later.storage, outcome.result.predictions_label_file) == read(later.storage, first)
        assert outcome.result.metrics is None

    def test_the_suffix_of_a_model_may_be_left_out(self, later: Job, trained: str) -> None:
        request = InferRequest("multivariate", FEATURES, model_path=trained.removesuffix(".pkl"))
        infer(request, later).discard()

    @pytest.mark.parametrize("method", ["iqr", "quantile", "persist", "poly", "subpca"])
    def test_a_series_by_its_own_statistics(self, quick: Job, method: str) -> None:
        outcome = infer(InferRequest("univariate", SERIES, method=method), quick)
        outcome.publish()
        result = outcome.result
        folder = "testprojectid2/testfileid1/anomaly_detection"
        assert keys(quick.storage, folder) == [f"1727161197_{method}_predictions.csv"]
        predictions = table(quick.storage, result.predictions_label_file)
        assert len(predictions) == 400
        assert predictions.label.sum() == result.n_anomalies
        assert result.n_anomalies > 0 or method in ("poly", "subpca")  # they look for shapes, not for single values

    def test_auto_chooses_and_says_why(self, quick: Job) -> None:
        pytest.importorskip("plotly")
        outcome = infer(InferRequest("univariate", SERIES, method="Auto", save_charts=True), quick)
        outcome.publish()
        assert b"Persist was chosen: " in read(quick.storage, outcome.result.predictions_charts_file)
        assert outcome.result.detector == "persist"  # the series has spikes
        assert "single values leap away" in outcome.result.as_dict()["chosen_because"]
        assert outcome.result.predictions_label_file.endswith("_persist_predictions.csv")
        with pytest.raises(WrongKind, match="auto is for univariate"):
            infer(InferRequest("multivariate", SERIES, method="auto"), quick)

    def test_what_was_asked_for_by_name_was_not_chosen(self, quick: Job) -> None:
        outcome = infer(InferRequest("univariate", SERIES, method="iqr"), quick)
        assert "chosen_because" not in outcome.result.as_dict()

    def test_charts_of_a_series(self, quick: Job) -> None:
        pytest.importorskip("plotly")
        outcome = infer(InferRequest("univariate", SERIES, method="quantile", save_charts=True), quick)
        outcome.publish()
        assert outcome.result.predictions_charts_file is not None
        assert b"limits" in read(quick.storage, outcome.result.predictions_charts_file)

    def test_rows_after_those_of_training_have_a_history(self, quick: Job) -> None:
        line, _ = series(n_rows=401, seed=4)
        assert line.times is not None
        upload(quick.storage, "p/first", Features(line.values[:400], line.names, line.times[:400], "Time", "iso"))
        upload(quick.storage, "p/next", Features(line.values[400:], line.names, line.times[400:], "Time", "iso"))
        model = train(TrainRequest("persist", "p/first"), quick)
        model.publish()
        request = InferRequest("univariate", "p/next", model_path=model.result.model_path)
        assert infer(request, replace(quick, stamp=2)).result.n_without_verdict == 0

    def test_a_model_goes_before_a_method(self, quick: Job) -> None:
        model = train(TrainRequest("iqr", SERIES), quick)
        model.publish()
        request = InferRequest("univariate", SERIES, method="quantile", model_path=model.result.model_path)
        assert infer(request, replace(quick, stamp=2)).result.detector == "iqr"


def _flipped(data: bytes) -> bytes:
    return data[:-200] + bytes([data[-200] ^ 1]) + data[-199:]


class TestErrors:
    """Every one has a code and names the culprit; nothing is left behind."""

    @pytest.fixture(autouse=True)
    def _nothing_stays(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        self.storage = FolderStorage(tmp_path / "root")
        fill(self.storage)
        train(TrainRequest("dbscan", FEATURES), Job(self.storage, 1)).publish()
        self.model = f"{FOLDER}/1_dbscan_model.pkl"
        self.job = Job(self.storage, 2)

    def fails(
        self, run: Callable[[Any, Job], Outcome], request: Any, error: type[InlierError], *said: str, **job: Any
    ) -> None:
        before = list(self.storage.list())
        with pytest.raises(error) as caught:
            run(request, replace(self.job, **job))
        assert caught.value.code == error.code != InlierError.code
        for text in said:
            assert text in str(caught.value)
        assert list(self.storage.list()) == before
        assert self.storage.sweep(-60) == 0

    def test_files_and_paths(self) -> None:
        self.fails(train, TrainRequest("dbscan", "p/no"), FileMissing, "p/no")
        self.fails(train, TrainRequest("dbscan", FEATURES, "p/no"), FileMissing, "p/no")
        self.fails(train, TrainRequest("dbscan", "../x"), InvalidPath, "..")
        self.fails(infer, InferRequest("multivariate", FEATURES, model_path="/etc/passwd"), InvalidPath)
        self.fails(infer, InferRequest("multivariate", FEATURES, model_path="p/no.pkl"), ModelNotFound, "p/no.pkl")

    def test_contents(self) -> None:
        put(self.storage, "p/empty.csv", b"")
        put(self.storage, "p/header.csv", b"a,b\n")
        put(self.storage, "p/text.csv", b"a,b\n1,2\n3,four\n")
        put(self.storage, "p/short.csv", b"label\n1\n0\n")
        put(self.storage, "p/two.csv", b"label\n" + b"0\n" * 3004 + b"2\n")
        self.fails(train, TrainRequest("dbscan", "p/empty"), EmptyFile, "p/empty.csv")
        self.fails(train, TrainRequest("dbscan", "p/header"), EmptyFile, "p/header.csv")
        self.fails(train, TrainRequest("dbscan", "p/text"), NotNumbers, "p/text.csv", "row 3", "'b'", "four")
        self.fails(train, TrainRequest("dbscan", FEATURES, "p/short"), LabelsDoNotMatch, "2 labels", "3005 rows")
        self.fails(train, TrainRequest("dbscan", FEATURES, "p/two"), NotNumbers, "row 3006", "2")
        self.fails(infer, InferRequest("univariate", FEATURES, method="iqr"), NoTimeColumn, "Time", FEATURES)

    def test_detectors_and_parameters(self) -> None:
        self.fails(train, TrainRequest("dbscam", FEATURES), UnknownDetector, "dbscan")
        self.fails(train, TrainRequest("dbscan", FEATURES, parameters={"epps": 1}), TrainingError, "eps")
        self.fails(train, TrainRequest("dbscan", FEATURES, parameters={"eps": -1.0}), TrainingError, "eps")

    def test_what_does_not_go_together(self) -> None:
        self.fails(infer, InferRequest("multivariate", FEATURES), JobError, "model_path")
        self.fails(infer, InferRequest("univariate", SERIES), JobError, "method_name")
        self.fails(infer, InferRequest("univariate", SERIES, method="dbscan"), WrongKind, "DBSCAN", "univariate")
        self.fails(infer, InferRequest("univariate", SERIES, model_path=self.model), WrongKind, "DBSCAN")
        self.fails(infer, InferRequest("multivariate", SERIES, model_path=self.model), UnknownFeatures, "f1")

    def test_models_that_were_tampered_with(self) -> None:
        put(self.storage, "p/m.pkl", _flipped(read(self.storage, self.model)))
        put(self.storage, "p/m.pkl.json", read(self.storage, f"{self.model}.json"))
        self.fails(infer, InferRequest("multivariate", FEATURES, model_path="p/m.pkl"), ModelDamaged, "SHA-256")
        put(self.storage, "p/alone.pkl", read(self.storage, self.model))
        self.fails(infer, InferRequest("multivariate", FEATURES, model_path="p/alone.pkl"), ModelDamaged, "sidecar")
        request = InferRequest("multivariate", FEATURES, model_path=self.model)
        self.fails(infer, request, ModelUntrusted, "not signed", signing_key=b"secret")

    def test_limits(self) -> None:
        self.fails(train, TrainRequest("dbscan", FEATURES), TooLarge, "3000 rows", max_rows=3000)
        self.fails(train, TrainRequest("dbscan", FEATURES), TooLarge, "4 columns", max_columns=3)

    def test_a_name_that_is_taken(self) -> None:
        outcome = train(TrainRequest("dbscan", FEATURES), Job(self.storage, 1))
        before = list(self.storage.list())
        with pytest.raises(FileExists):
            outcome.publish()
        assert list(self.storage.list()) == before
        assert self.storage.sweep(-60) == 0

    def test_it_stops_between_steps(self) -> None:
        steps: list[str] = []

        def count(share: float, doing: str) -> None:
            steps.append(doing)

        train(TrainRequest("dbscan", FEATURES), replace(self.job, progress=count)).discard()
        for last in range(len(steps)):
            seen: list[str] = []
            self.fails(
                train,
                TrainRequest("dbscan", FEATURES),
                JobStopped,
                progress=lambda share, doing, seen=seen: seen.append(doing),
                stopped=lambda seen=seen, last=last: len(seen) >= last,
            )
            assert len(seen) == last


def test_progress_never_goes_back(quick: Job) -> None:
    pytest.importorskip("plotly")
    shares: list[float] = []
    job = replace(quick, progress=lambda share, doing: shares.append(share))
    train(TrainRequest("inne", FEATURES, LABELS, save_charts=True), job).discard()
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_a_late_attempt_overwrites_nothing(quick: Job) -> None:
    request = TrainRequest("dbscan", FEATURES)
    late, again = train(request, quick), train(request, replace(quick, stamp=quick.stamp + 60))
    again.publish()
    before = {entry.key: read(quick.storage, entry.key) for entry in quick.storage.list()}
    late.discard()  # the task is another's by now
    assert {entry.key: read(quick.storage, entry.key) for entry in quick.storage.list()} == before


def test_every_error_has_a_code_of_its_own_tree() -> None:
    def tree(error: type[InlierError]) -> list[type[InlierError]]:
        public = [kind for kind in error.__subclasses__() if kind.__module__ in ("detectors.errors", "training.errors")]
        return [kind for sub in public for kind in (sub, *tree(sub))]

    codes = [error.code for error in tree(InlierError)]
    assert len(codes) == len(set(codes)) > 20
    assert all(code == code.lower() and code.replace("_", "").isalpha() for code in codes)
