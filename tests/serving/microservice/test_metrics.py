import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from serving import models
from serving.detector_model import Judged
from serving.microservice.board import RING_ROWS, Board, BoardFull
from serving.microservice.drift import gauges, population_stability_index
from serving.microservice.metrics import SCORES, Metrics
from serving.microservice.outcome import Outcome
from tests.serving.microservice import classes
from tests.serving.microservice.asgi import Client
from tests.serving.microservice.processes import Server, free_port, ours
from training.histograms import Histogram
from training.model import Model
from training.synthetic import clusters

ROW = [2.1, 2.05, 1.95, 2.01]
LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*=\"(?:[^\"\\]|\\.)*\",?)*)\})? (-?[\d.e+-]+|[+-]Inf|NaN)")


def parse(text: bytes) -> dict[tuple[str, ...], float]:
    """Every sample by name and labels; each line must be one of Prometheus' text format."""
    found: dict[tuple[str, ...], float] = {}
    for line in text.decode().splitlines():
        if line.startswith("#"):
            assert line.split()[1] in ("HELP", "TYPE")
            continue
        matched = LINE.fullmatch(line)
        assert matched, line
        labels = re.findall(r"\w+=\"(?:[^\"\\]|\\.)*\"", matched[2] or "")
        names = [label.partition("=")[0] for label in labels]
        assert len(set(names)) == len(names), line
        key = (matched[1], *sorted(labels))
        assert key not in found
        found[key] = float(matched[3].replace("Inf", "inf"))
    return found


def of(found: dict[tuple[str, ...], float], name: str, *labels: str) -> float:
    return sum(value for key, value in found.items() if key[0] == name and set(labels) <= set(key[1:]))


def test_requests_rows_scores_and_anomalies(inne: Model) -> None:
    client = Client(models.INNE.of(inne))
    for rows in ([ROW], [ROW, [0, 0, 0, 0]], [[0, 0, 0, 0]]):
        client("/predict", {"data": {"ndarray": rows}})
    client("/predict", b"{")
    client("/nowhere")
    answer = client("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = parse(answer.body)
    assert of(found, "inlier_requests_total", 'route="predict"', 'status="200"') == 3
    assert of(found, "inlier_requests_total", 'route="predict"', 'status="400"') == 1
    assert of(found, "inlier_requests_total", 'route="unknown"', 'status="404"') == 1
    assert of(found, "inlier_request_seconds_count", 'route="predict"') == 4
    assert of(found, "inlier_request_seconds_bucket", 'route="predict"', 'le="+Inf"') == 4
    assert of(found, "inlier_rows_total") == 4
    assert of(found, "inlier_anomalies_total") == 2
    assert of(found, "inlier_anomaly_score_count") == 4
    assert of(found, "inlier_anomaly_score_bucket", 'le="0.95"') == 2
    assert of(found, "inlier_recent_rows") == 4
    assert of(found, "inlier_model_info", 'model_name="model_inne"') == 1


def test_scores_on_an_edge_are_counted_alike_one_by_one_and_together() -> None:
    scores = np.concatenate([np.random.default_rng(0).uniform(size=200), SCORES, np.nextafter(SCORES, 2), [0.0]])
    found = []
    for size in (1, len(scores)):
        metrics = Metrics(Board(), 0, {})
        for start in range(0, len(scores), size):
            part = scores[start : start + size]
            metrics.outcome(Outcome(None, judged=Judged(part[:, None], part)), "predict", len(part), 1)
        found.append(parse(metrics.render()))
    for edge in SCORES:
        expected = np.count_nonzero(scores <= edge)
        assert [of(one, "inlier_anomaly_score_bucket", f'le="{edge:g}"') for one in found] == [expected, expected]
    assert of(found[1], "inlier_anomaly_score_count") == len(scores)


def test_metrics_of_the_class() -> None:
    client = Client(classes.Full(offset=3), unit_id="node", deployment="dep")
    for _ in range(2):
        client("/predict", {"data": {"ndarray": [[1, 2]]}})
    found = parse(client("/metrics").body)
    labels = ('model_name="node"', 'deployment_name="dep"', 'method="predict"')
    assert of(found, "calls_total", *labels) == 2
    assert of(found, "offset", 'colour="blue"', *labels) == 3
    assert of(found, "took_count", *labels) == 2
    assert of(found, "took_sum", *labels) == pytest.approx(0.041)
    assert of(found, "inlier_rows_total", *labels) == 2


def test_feedback_is_counted() -> None:
    client = Client(classes.Plain())
    for reward in (1, 0.5):
        client("/send-feedback", {"reward": reward})
    found = parse(client("/metrics").body)
    assert of(found, "seldon_api_model_feedback_total") == 2
    assert of(found, "seldon_api_model_feedback_reward_total") == 1.5


@pytest.mark.parametrize("path", ["/send-feedback", "/transform-input", "/transform-output"])
def test_what_is_no_prediction_does_not_count_the_last_one_again(inne: Model, path: str) -> None:
    client = Client(models.INNE.of(inne))
    rows = {"data": {"ndarray": [ROW] * 17 + [[0, 0, 0, 0]]}}
    client("/predict", rows)
    answer = client(path, {"request": rows} if path == "/send-feedback" else rows)
    assert answer.json["meta"]["tags"]["threshold"] == inne.threshold
    assert "labels" not in answer.json["meta"]["tags"]
    assert "metrics" not in answer.json["meta"]
    found = parse(client("/metrics").body)
    names = ("inlier_rows_total", "inlier_anomalies_total", "inlier_anomaly_score_count", "inlier_recent_rows")
    assert [of(found, name) for name in names] == [18, 1, 18, 18]


def test_a_path_of_its_own() -> None:
    client = Client(classes.Plain(), metrics_path="/prometheus")
    assert client("/prometheus").status == 200
    assert client("/metrics").status == 404


def test_names_and_labels_that_prometheus_does_not_allow() -> None:
    metrics = Metrics(Board(), 0, {})
    strange = {"type": "GAUGE", "key": "9 lives-left", "value": 1, "tags": {"a b": 'x"\n\\'}}
    metrics.custom([strange], "predict")
    assert of(parse(metrics.render()), "_9_lives_left", r'a_b="x\"\n\\"') == 1


@pytest.mark.parametrize("kind", ["GAUGE", "TIMER"])
def test_labels_that_prometheus_has_for_itself_or_cannot_have(kind: str) -> None:
    metrics = Metrics(Board(), 0, {})
    tags = {"1st": "a", "": "b", "le": "c", "__name__": "d", "method": "e"}
    metrics.custom([{"type": kind, "key": "k", "value": 1, "tags": tags}], "predict")
    labels = ('_1st="a"', '_="b"', '_le="c"', '___name__="d"', 'method="predict"')
    assert of(parse(metrics.render()), "k" if kind == "GAUGE" else "k_count", *labels) == 1


def test_one_name_with_two_types_shows_the_first() -> None:
    metrics = Metrics(Board(), 0, {})
    metrics.custom([{"type": "GAUGE", "key": "k", "value": 1}, {"type": "TIMER", "key": "k", "value": 1}], "predict")
    assert of(parse(metrics.render()), "k") == 1


def test_values_that_are_not_finite() -> None:
    metrics = Metrics(Board(), 0, {})
    for key, value in (("a", np.nan), ("b", np.inf), ("c", -np.inf)):
        metrics.custom([{"type": "GAUGE", "key": key, "value": value}], "predict")
    found = parse(metrics.render())
    assert np.isnan(of(found, "a"))
    assert (of(found, "b"), of(found, "c")) == (np.inf, -np.inf)


def test_a_full_board_drops_what_has_no_room(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(Board(), 0, {})
    for key in range(10_000):
        metrics.custom([{"type": "COUNTER", "key": f"k{key}", "value": 1}], "predict")
    assert len(parse(metrics.render())) == 8192 + 1
    assert caplog.text.count("no room") == 1
    with pytest.raises(BoardFull):
        Board().parts[0].define({}, 9000)


def test_workers_add_up_and_gauges_are_told_apart() -> None:
    board = Board(2)
    first, second = (Metrics(board, worker, {}) for worker in (0, 1))
    for metrics, value in ((first, 1.0), (second, 2.0)):
        metrics.custom([{"type": kind, "key": kind, "value": value} for kind in ("COUNTER", "GAUGE")], "predict")
        metrics.request("predict", 200, 0.003)
    for metrics in (first, second):
        found = parse(metrics.render())
        assert of(found, "COUNTER_total") == 3
        assert of(found, "GAUGE", 'worker="0"') == 1
        assert of(found, "GAUGE", 'worker="1"') == 2
        assert of(found, "inlier_request_seconds_bucket", 'le="0.005"') == 2
        assert of(found, "inlier_request_seconds_bucket", 'le="0.0025"') == 0


def test_a_worker_in_the_place_of_another_counts_on() -> None:
    board = Board()
    for _ in range(2):
        Metrics(board, 0, {}).request("predict", 200, 0.1)
    assert of(parse(Metrics(board, 0, {}).render()), "inlier_requests_total") == 2


class TestRing:
    def test_the_newest_rows_stay(self) -> None:
        part = Board().parts[0]
        rows = np.arange(RING_ROWS * 3, dtype=float).reshape(-1, 1)
        for start, stop in ((0, 1), (1, RING_ROWS + 7), (RING_ROWS + 7, RING_ROWS * 3)):
            part.remember(rows[start:stop], rows[start:stop, 0], 1)
            kept = part.remembered(1, 1)
            expected = rows[max(0, stop - RING_ROWS) : stop, 0]
            np.testing.assert_array_equal(np.sort(kept[:, 0]), expected)
            np.testing.assert_array_equal(kept[:, 0], kept[:, 1])

    @pytest.mark.parametrize("d", [1, 4, 16, 17, 40])
    def test_rows_one_by_one_are_kept_as_those_that_come_together(self, d: int) -> None:
        rows = np.random.default_rng(d).normal(size=(50, d))
        one_by_one, together = Board().parts[0], Board().parts[0]
        together.remember(rows, rows[:, 0], 1)
        for row in rows:
            one_by_one.remember(row[None], row[:1], 1)
        np.testing.assert_array_equal(one_by_one.remembered(d, 1), together.remembered(d, 1))

    def test_another_model_begins_anew(self) -> None:
        part = Board().parts[0]
        part.remember(np.ones((5, 2)), np.zeros(5), 1)
        part.remember(np.ones((1, 2)), np.zeros(1), 2)
        assert len(part.remembered(2, 2)) == 1
        assert len(part.remembered(2, 1)) == 0

    def test_rows_too_wide_for_it_are_left_out(self) -> None:
        part = Board().parts[0]
        part.remember(np.ones((1, 1 << 17)), np.zeros(1), 1)
        assert part.remembered(1 << 17, 1).shape == (0, (1 << 17) + 1)


class TestDrift:
    def test_the_same_distribution_has_none(self) -> None:
        rng = np.random.default_rng(0)
        trained = Histogram.of_feature(rng.normal(size=10_000))
        assert population_stability_index(trained, rng.normal(size=10_000)) < 0.02
        assert population_stability_index(trained, rng.normal(0.2, size=10_000)) < 0.1
        assert population_stability_index(trained, rng.normal(1, size=10_000)) > 0.5
        assert population_stability_index(trained, np.full(100, 99.0)) > 2
        assert population_stability_index(trained, np.full(100, -99.0)) > 2

    def test_the_very_rows_of_training_have_none(self) -> None:
        decimals = np.random.default_rng(0).integers(5, 10, 2000) / 10  # 0.6, 0.7, 0.8 lie on edges, but for rounding
        assert population_stability_index(Histogram.of_feature(decimals), decimals) == 0.0

    def test_nothing_is_known(self) -> None:
        trained = Histogram.of_feature(np.arange(10.0))
        assert np.isnan(population_stability_index(trained, np.full(3, np.nan)))
        assert np.isnan(population_stability_index(Histogram.of_feature(np.empty(0)), np.ones(3)))

    def test_a_constant_feature(self) -> None:
        trained = Histogram.of_feature(np.full(1000, 5.0))
        assert population_stability_index(trained, np.full(1000, 5.0)) == pytest.approx(0, abs=0.01)

    def test_the_feature_that_has_changed_stands_out(self, inne: Model) -> None:
        client = Client(models.INNE.of(inne))
        values = clusters(seed=5)[0].values.copy()
        values[:, 2] += 1.0
        client("/predict", {"data": {"ndarray": values.tolist()}})
        found = parse(client("/metrics").body)
        drift = [of(found, "inlier_feature_drift", f'feature="f{k}"') for k in (1, 2, 3, 4)]
        assert drift[2] > 0.2 > 0.05 > max(drift[0], drift[1], drift[3])
        assert of(found, "inlier_score_drift") > 0.2

    def test_few_rows_say_nothing(self, inne: Model) -> None:
        assert [name for name, _, _ in gauges(inne, np.ones((99, 5)))] == ["inlier_recent_rows"]


@pytest.fixture(scope="module")
def server(inne_file: Path) -> Iterator[Server]:
    with ours(inne_file, "--workers", "2", "--metrics-port", str(free_port())) as running:
        yield running


class TestWorkers:
    def children(self, server: Server) -> list[psutil.Process]:
        return psutil.Process(server.process.pid).children()

    def ask(self, server: Server, times: int) -> None:
        for _ in range(times):
            status, body = server.post("/predict", {"data": {"ndarray": [ROW]}})
            assert status == 200
            assert json.loads(body)["data"]["ndarray"][0][0] < 0.45

    def test_any_worker_knows_what_all_counted(self, server: Server) -> None:
        before = of(parse(server.get("/metrics")[1]), "inlier_rows_total")
        self.ask(server, 40)
        for _ in range(8):
            assert of(parse(server.get("/metrics")[1]), "inlier_rows_total") == before + 40

    def test_a_worker_that_dies_is_replaced_and_its_counts_stay(self, server: Server) -> None:
        self.ask(server, 10)
        before = of(parse(server.get("/metrics")[1]), "inlier_rows_total")
        victim = self.children(server)[0]
        victim.send_signal(signal.SIGKILL)
        end = time.monotonic() + 60
        while "starting another" not in server.output or server.output.count("serving iNNE") < 6:
            assert time.monotonic() < end, server.output
            time.sleep(0.05)
        assert len(self.children(server)) == 2
        assert of(parse(server.get("/metrics")[1]), "inlier_rows_total") == before
        self.ask(server, 10)
        assert of(parse(server.get("/metrics")[1]), "inlier_rows_total") == before + 10

    def test_all_stop_together(self, inne_file: Path) -> None:
        with ours(inne_file, "--workers", "2") as server:
            while server.output.count("serving iNNE") < 2:
                time.sleep(0.05)
            children = self.children(server)
            assert server.terminate() == 0
            assert not any(psutil.pid_exists(child.pid) for child in children)

    def test_a_model_that_cannot_be_loaded_ends_them_all(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="error: there is no"):
            ours(tmp_path / "none.pkl", "--workers", "2").__enter__()
