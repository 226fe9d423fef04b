"""The same requests to ours and to the genuine wrapper: the same answers, but for what is in the table of differences.

Each row of `docs/seldon-differences.md` is a `Difference` here, and the other way.
"""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.environments import ROOT
from tests.serving.microservice.processes import Server, genuine, ours

pytestmark = pytest.mark.slow

CLASSES = "tests.serving.microservice.classes"
TABLE = ROOT / "docs" / "seldon-differences.md"
ROWS = {"data": {"ndarray": [[1, 2], [3, 4]], "names": ["p", "q"]}, "meta": {"puid": "id"}}
PARAMETERS = [
    {"name": "offset", "value": "3", "type": "INT"},
    {"name": "flag", "value": "true", "type": "BOOL"},
    {"name": "ratio", "value": "0.25", "type": "FLOAT"},
]


@pytest.fixture(scope="module")
def pair(wrapper_python: Path) -> Iterator[Callable[[str], tuple[Server, Server]]]:
    """Ours and theirs for a class; started once each."""
    running: dict[str, tuple[Server, Server]] = {}

    def start(name: str) -> tuple[Server, Server]:
        if name not in running:
            target = f"{CLASSES}{'_of_seldon' if name in ('Inherits', 'Refuses') else ''}.{name}"
            parameters = PARAMETERS if name == "Full" else []
            mine = ours(target, PREDICTIVE_UNIT_PARAMETERS=json.dumps(parameters))
            running[name] = (mine.__enter__(), genuine(wrapper_python, target, parameters).__enter__())
        return running[name]

    yield start
    for both in running.values():
        for server in both:
            server.__exit__(None, None, None)


def with_puid(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "meta": {**message.get("meta", {}), "puid": "id"}}


SAME: list[tuple[str, str, Any]] = [
    ("Plain", "/predict", ROWS),
    ("Plain", "/api/v1.0/predictions", ROWS),
    ("Plain", "/api/v0.1/predictions", ROWS),
    ("Plain", "/predict", with_puid({"data": {"tensor": {"shape": [2, 2], "values": [1, 2, 3, 4.5]}}})),
    ("Plain", "/predict", with_puid({"data": {"ndarray": [[1, "a"], [2, "b"]]}})),
    ("Plain", "/predict", with_puid({"data": {"ndarray": [1.5, 2]}})),
    ("Plain", "/predict", with_puid({"data": {"ndarray": [[[1.5]], [[2]]]}})),
    ("Plain", "/predict", with_puid({"data": {"ndarray": [[True, False]]}})),
    ("Plain", "/predict", with_puid({"strData": "text ü"})),
    ("Plain", "/predict", with_puid({"binData": "AAEC"})),
    ("Plain", "/predict", with_puid({"jsonData": {"a": [1, None, {"b": 2}]}})),
    ("Plain", "/predict", {**ROWS, "meta": {"puid": "id", "tags": {"a": 1}, "requestPath": {"x": "y:1"}}}),
    ("Plain", "/send-feedback", {"request": ROWS, "reward": 1}),
    ("Plain", "/transform-input", ROWS),
    ("Plain", "/transform-output", ROWS),
    ("Plain", "/health/status", None),
    ("Plain", "/metadata", None),
    ("Plain", "/health/ping", None),
    ("Full", "/predict", ROWS),
    ("Full", "/predict", with_puid({"data": {"tensor": {"shape": [1, 2], "values": [1, 2]}}})),
    ("Full", "/predict", with_puid({"strData": "x"})),
    ("Full", "/transform-input", ROWS),
    ("Full", "/transform-output", ROWS),
    ("Full", "/route", with_puid({"data": {"ndarray": [[1]]}})),
    ("Full", "/aggregate", {"seldonMessages": [ROWS, ROWS]}),
    ("Full", "/aggregate", [ROWS, {**ROWS, "meta": {"tags": {"t": 1}}}]),
    ("Full", "/send-feedback", {"request": ROWS, "reward": 0.5, "truth": {"data": {"ndarray": [[1], [2]]}}}),
    ("Full", "/health/status", None),
    ("Full", "/metadata", None),
    ("Echo", "/predict", {**ROWS, "meta": {"puid": "id", "tags": {"a": 1}}}),
    ("Echo", "/predict", with_puid({"data": {"ndarray": [[1, None]]}})),
    ("ClassNamesAttribute", "/predict", ROWS),
    ("Inherits", "/predict", ROWS),
    ("Inherits", "/transform-input", ROWS),
    ("Inherits", "/send-feedback", {"request": ROWS}),
    ("Inherits", "/health/status", None),
    ("Inherits", "/metadata", None),
    ("Inherits", "/route", ROWS),
    ("Inherits", "/aggregate", [ROWS]),
    ("Refuses", "/predict", ROWS),
    ("Plain", "/route", ROWS),
    ("Plain", "/aggregate", [ROWS]),
    ("Raw", "/predict", {"strData": "x"}),
    ("Raw", "/predict", {"strData": "fail"}),
]


@pytest.mark.parametrize(("name", "path", "body"), SAME)
def test_the_same_answer(pair: Callable[[str], tuple[Server, Server]], name: str, path: str, body: Any) -> None:
    answers = []
    for server in pair(name):
        status, text = server.get(path) if body is None else server.post(path, body)
        answers.append((status, text if path == "/health/ping" else json.loads(text)))
    assert plain(answers[0][1]) == plain(answers[1][1])
    assert answers[0][0] == answers[1][0]


def plain(answer: Any) -> Any:
    """Without what the wrapper adds to the tags of metrics, which is in the table."""
    for metric in answer["meta"].get("metrics", []) if isinstance(answer, dict) and "meta" in answer else []:
        metric.get("tags", {}).pop("method", None)
        metric.setdefault("type", "COUNTER")  # the enumeration's first, which protocol buffers leave out
    return answer


@dataclass
class Difference:
    """A request, and the statuses that ours and theirs answer with."""

    title: str
    ours: int
    theirs: int
    path: str = "/predict"
    body: Any = None
    kind: str = "application/json"
    name: str = "Plain"
    method: str = "POST"
    check: Callable[[bytes, bytes], None] = field(default=lambda mine, theirs: None)


def is_json(text: bytes) -> bool:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


def theirs_is_no_json(mine: bytes, theirs: bytes) -> None:
    assert is_json(mine)
    assert not is_json(theirs)


def called_twice(mine: bytes, theirs: bytes) -> None:
    assert json.loads(mine)["status"]["info"] == "call 1"
    assert json.loads(theirs)["status"]["info"] == "call 2"


def puid_is_made(mine: bytes, theirs: bytes) -> None:
    assert re.fullmatch("[0-9a-f]{40}", json.loads(mine)["meta"]["puid"])
    assert "puid" not in json.loads(theirs)["meta"]


def metrics_of(text: bytes) -> list[dict[str, Any]]:
    return json.loads(text)["meta"]["metrics"]  # type: ignore[no-any-return]


def tags_are_the_models(mine: bytes, theirs: bytes) -> None:
    assert metrics_of(mine)[1]["tags"] == {"colour": "blue"}
    assert metrics_of(theirs)[1]["tags"] == {"colour": "blue", "method": "predict"}


IN_ADDRESS = "/api/v1.0/predictions?json=%7B%22strData%22:%22x%22%7D"

DIFFERENCES = [
    Difference("A form field that is not JSON", 400, 500, body=b"json={", kind="application/x-www-form-urlencoded"),
    Difference("Rows of different lengths", 400, 500, body={"data": {"ndarray": [[1, 2], [3]]}}),
    Difference(
        "A tensor whose values don't fill its shape", 400, 500, body={"data": {"tensor": {"shape": [3], "values": [1]}}}
    ),
    Difference("An unknown path", 404, 500, path="/nowhere", body={}),
    Difference("A method that the path doesn't take", 405, 500, path="/health/ping", body={}),
    Difference("NaN in the body", 400, 200, body=b'{"data": {"ndarray": [[NaN]]}}', check=theirs_is_no_json),
    Difference("Infinity in the body", 400, 200, body=b'{"data": {"ndarray": [[Infinity]]}}', check=theirs_is_no_json),
    Difference(
        "A number that no float holds (1e400)",
        400,
        200,
        body=b'{"data": {"ndarray": [[1e400]]}}',
        check=theirs_is_no_json,
    ),
    Difference(
        "NaN or infinity in a model's answer", 200, 200, name="Faulty", body={"strData": "nan"}, check=theirs_is_no_json
    ),
    Difference("A TypeError in `predict`", 500, 500, name="Faulty", body={"strData": "type"}, check=called_twice),
    Difference("A request without `meta.puid`", 200, 200, body={"data": {"ndarray": [[1]]}}, check=puid_is_made),
    Difference("`data` without a payload", 400, 200, body={"data": {}}),
    Difference("`binData` that is not base64", 400, 500, body={"binData": "§"}),
    Difference("`meta` that is not an object", 400, 500, body={"data": {"ndarray": [[1]]}, "meta": 1}),
    Difference("`jsonData` that no array holds, passed on", 200, 400, path="/transform-input", body={"jsonData": 5}),
    Difference("A body of another type than JSON or a form", 200, 400, body=b'{"strData": "x"}', kind="text/plain"),
    Difference("A payload that no message can hold", 500, 400, name="Faulty", body={"strData": "object"}),
    Difference("Tags of a model's metric", 200, 200, name="Full", body=ROWS, check=tags_are_the_models),
    Difference("A body over the limit", 413, 200, body=b'{"strData": "' + b"x" * 11_000_000 + b'"}'),
    Difference("GET with `?json=` on /api/v1.0/predictions", 200, 500, path=IN_ADDRESS, method="GET"),
]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.title)
def test_a_difference(pair: Callable[[str], tuple[Server, Server]], difference: Difference) -> None:
    answers = [
        server.get(difference.path)
        if difference.method == "GET"
        else server.post(difference.path, difference.body, difference.kind)
        for server in pair(difference.name)
    ]
    assert [status for status, _ in answers] == [difference.ours, difference.theirs], answers
    difference.check(answers[0][1], answers[1][1])


def stopped_within(server: Server, seconds: float) -> bool:
    server.process.send_signal(signal.SIGTERM)
    try:
        server.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_sigterm_with_a_request_under_way(wrapper_python: Path) -> None:
    with ours(f"{CLASSES}.Plain") as server:
        assert stopped_within(server, 5)


def test_request_counts_and_latencies_are_in_the_metrics(pair: Callable[[str], tuple[Server, Server]]) -> None:
    mine, theirs = pair("Plain")
    mine.post("/predict", ROWS)
    text = mine.get("/metrics")[1].decode()
    assert "inlier_requests_total" in text
    assert "inlier_request_seconds_bucket" in text
    port = int(theirs.environment["PREDICTIVE_UNIT_METRICS_SERVICE_PORT"])
    found = Server([], {}, port).get("/metrics")[1].decode()
    assert "request" not in found


def test_the_table_lists_each_difference() -> None:
    rows = [line.split("|")[1:5] for line in TABLE.read_text().splitlines() if line.startswith("| ")][2:]
    listed = {cells[0].strip(): (cells[1].strip(), cells[2].strip()) for cells in rows}
    for one in DIFFERENCES:
        assert listed.pop(one.title) == (str(one.ours), str(one.theirs)), one.title
    assert listed.keys() == {"SIGTERM", "Metrics", "A port for metrics", "Processes", "`model_error_handler`", "CORS"}
    assert time.monotonic()
