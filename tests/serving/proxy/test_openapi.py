"""The API does what its document says: nothing undocumented, no 5xx, whatever is sent."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import WSGIRequestHandler, make_server

from serving.proxy.openapi import document, operations
from training.artifacts import dump_model
from training.model import Model
from training.storage import Storage

PAGES = ("/", "/docs", "/openapi.json")
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


# A schema cannot say that ratios add up to 1: what keeps to it may be a 400 nevertheless.
CONFIGURATION = """
[[operations]]
include-name = "PUT /clients/{name}/variations"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "5xx"]
"""


class Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@pytest.fixture
def served(app: Flask, storage: Storage, inne: Model) -> Iterator[str]:
    """The proxy, with the files that the examples in the document name."""
    model, sidecar = dump_model(inne)
    folder = "testprojectid1/testfileid1"
    files = {"cogen_feature.csv": b"a,b\n1,2\n", "cogen_anomaly.csv": b"anomaly\n0\n"}
    for name in ("1727161197_dbscan_model.pkl", "1728555947_dbscan_model.pkl"):
        files |= {f"anomaly_detection/{name}": model, f"anomaly_detection/{name}.json": sidecar}
    for name, content in files.items():
        with storage.write(f"{folder}/{name}") as file:
            file.write(content)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def fuzz(url: str, folder: Path, examples: int) -> subprocess.CompletedProcess[str]:
    """Every check that schemathesis has, over generated requests that keep to the document and that break it."""
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    command = [SCHEMATHESIS, "run", f"{url}/openapi.json", "--seed", "1", "--no-color", "--max-examples", str(examples)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_what_is_answered_is_documented(served: str, tmp_path: Path) -> None:
    done = fuzz(served, tmp_path, 10)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr


@pytest.mark.slow
def test_what_is_answered_is_documented_at_length(served: str, tmp_path: Path) -> None:
    done = fuzz(served, tmp_path, 500)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr


def test_every_route_is_documented(app: Flask) -> None:
    documented = {(operation.method.upper(), operation.path) for operation in operations()}
    served = set()
    for rule in app.url_map.iter_rules():
        if rule.rule not in PAGES:
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            served |= {(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert served == documented


def test_a_prediction_is_asked_for_a_row_or_for_several() -> None:
    body = document()["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    one, several = body["properties"]["data"]["anyOf"]
    assert (one["type"], several["type"], several["items"]) == ("object", "array", one)


def test_a_body_that_does_not_arrive_is_documented_where_one_is_read() -> None:
    for operation in operations():
        assert ("408" in operation.document()["responses"]) == (operation.body is not None)


def test_the_page_needs_nothing_from_elsewhere(http: FlaskClient) -> None:
    page = http.get("/docs")
    assert page.status_code == 200
    assert page.mimetype == "text/html"
    assert not re.search(r"""(src|href)=|@import|url\(|https?://""", page.text)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_the_document_is_json_that_names_itself(http: FlaskClient) -> None:
    answer = http.get("/openapi.json")
    assert answer.json == document()
    assert answer.json["openapi"].startswith("3.1")


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_page_is_where_a_person_looks_first(http: FlaskClient, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
