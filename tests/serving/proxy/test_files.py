import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from training.errors import StorageUnavailable
from training.storage import Entry, FolderStorage, Storage

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return FolderStorage(tmp_path / "storage")


def as_from_gunicorn(body: bytes, length: int | None = None) -> dict[str, Any]:
    """What the test client is to send: a stream that ends by itself, be it where the client has gone."""
    announced = {} if length is None else {"CONTENT_LENGTH": str(length)}
    return {"input_stream": io.BytesIO(body), "environ_overrides": {"wsgi.input_terminated": True, **announced}}


def staged(storage: Storage) -> list[Path]:
    assert isinstance(storage, FolderStorage)
    return list((storage.root / ".staging").iterdir())


def test_put_get_delete(http: FlaskClient) -> None:
    made = http.put("/files/p/f/näme.csv", data=CONTENT)
    assert made.status_code == 201
    assert (made.json["path"], made.json["size"]) == ("p/f/näme.csv", len(CONTENT))
    got = http.get("/files/p/f/näme.csv", buffered=True)
    assert got.data == CONTENT
    assert got.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert got.headers["Accept-Ranges"] == "bytes"
    assert http.put("/files/p/f/näme.csv", data=b"other").status_code == 200
    assert http.get("/files/p/f/näme.csv", buffered=True).data == b"other"
    head = http.head("/files/p/f/näme.csv")
    assert (head.data, head.content_length) == (b"", 5)
    assert http.delete("/files/p/f/näme.csv").status_code == 204
    for method in ("GET", "HEAD", "DELETE"):
        assert http.open("/files/p/f/näme.csv", method=method).status_code == 404


@pytest.mark.parametrize(
    ("range_", "status", "part"),
    [
        ("bytes=0-", 206, CONTENT),
        ("bytes=10-19", 206, CONTENT[10:20]),
        ("bytes=-4", 206, CONTENT[-4:]),
        ("bytes=1000-", 206, CONTENT[1000:]),
        ("bytes=5000-", 416, None),
        ("bytes=x", 416, None),
        ("lines=1-2", 200, CONTENT),
        ("lines=x", 200, CONTENT),
    ],
)
def test_ranges(http: FlaskClient, range_: str, status: int, part: bytes | None) -> None:
    http.put("/files/a.bin", data=CONTENT)
    got = http.get("/files/a.bin", headers={"Range": range_}, buffered=True)
    assert got.status_code == status
    assert status == 416 or got.headers["Accept-Ranges"] == "bytes"
    if part is None:
        assert got.json["error"]["code"] == "REQUESTED_RANGE_NOT_SATISFIABLE"
        assert got.headers["Content-Range"] == f"bytes */{len(CONTENT)}"
    else:
        assert got.data == part


def test_conditions(http: FlaskClient) -> None:
    http.put("/files/a.bin", data=CONTENT)
    etag = http.get("/files/a.bin", buffered=True).headers["ETag"]
    unchanged = http.get("/files/a.bin", headers={"If-None-Match": etag}, buffered=True)
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    http.put("/files/a.bin", data=CONTENT + b"x")
    assert http.get("/files/a.bin", headers={"If-None-Match": etag}, buffered=True).status_code == 200
    resumed = http.get("/files/a.bin", headers={"Range": "bytes=5-", "If-Range": etag}, buffered=True)
    assert (resumed.status_code, len(resumed.data)) == (200, len(CONTENT) + 1)


def test_a_download_tells_of_the_file_that_it_sends(
    http: FlaskClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    http.put("/files/a.bin", data=b"first")
    open_ = FolderStorage._open

    def replace(self: FolderStorage, key: str) -> tuple[Entry, BinaryIO]:
        http.put("/files/a.bin", data=CONTENT)
        return open_(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(FolderStorage, "_open", replace)
        got = http.get("/files/a.bin", buffered=True)
    assert got.data == CONTENT
    assert got.content_length == len(CONTENT)
    assert got.headers["ETag"] == http.head("/files/a.bin").headers["ETag"]


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "a/../../b",
        "a//b",
        "a/",
        ".hidden",
        "a/.b",
        "a\\b",
        "a%00b",
        "a%0ab",
        "%2e%2e/x",
        "%2fetc/passwd",
        "x" * 300,
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_paths_that_are_none(http: FlaskClient, tmp_path: Path, path: str, method: str) -> None:
    answer = http.open(f"/files/{path}", method=method, data=b"x" if method == "PUT" else None)
    assert answer.status_code in (400, 404, 405), answer.text
    assert list((tmp_path / "storage").iterdir()) == [tmp_path / "storage/.staging"]
    assert not (tmp_path / "b").exists()


def test_symbolic_links_are_not_followed(http: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "storage/link").symlink_to(tmp_path)
    (tmp_path / "storage/file.csv").symlink_to(tmp_path / "secret")
    for path in ("link/secret", "file.csv"):
        assert http.get(f"/files/{path}", buffered=True).status_code == 400
        assert http.delete(f"/files/{path}").status_code == 400
    assert http.put("/files/link/secret", data=b"x").status_code == 400
    assert (tmp_path / "secret").read_text() == "secret"
    assert http.get("/files").json["files"] == []


def test_a_file_that_is_too_large_leaves_nothing(http: FlaskClient, storage: Storage) -> None:
    assert http.put("/files/a.bin", data=b"x" * 100_000).status_code == 201
    answer = http.put("/files/a.bin", data=b"y" * 100_001)
    assert answer.status_code == 413
    assert answer.json["error"]["message"] == "a file has at most 100000 bytes"
    for size in (100_001, 300_000):
        assert http.put("/files/a.bin", **as_from_gunicorn(b"y" * size)).status_code == 413
    assert http.get("/files/a.bin", buffered=True).data == b"x" * 100_000
    assert staged(storage) == []


@pytest.mark.parametrize("length", [None, 100_000], ids=["chunked", "length"])
def test_a_file_of_just_the_limit_is_taken(http: FlaskClient, length: int | None) -> None:
    assert http.put("/files/a.bin", **as_from_gunicorn(b"y" * 100_000, length)).status_code == 201


@pytest.fixture
def address(app: Flask) -> Iterator[tuple[str, int]]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_upload_that_is_cut_off_leaves_nothing(address: tuple[str, int], storage: Storage) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"PUT /files/a.bin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nonly this")
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)
    assert b" 400 " in answer
    assert not storage.exists("a.bin")
    assert staged(storage) == []


def test_an_upload_that_gunicorn_ends_early_leaves_the_file_as_it_was(http: FlaskClient, storage: Storage) -> None:
    http.put("/files/a.bin", data=CONTENT)
    cut = http.put("/files/a.bin", **as_from_gunicorn(b"only this", 1000))
    assert cut.status_code == 400
    assert cut.json["error"]["message"] == "the body broke off: 9 bytes came of 1000"
    assert http.get("/files/a.bin", buffered=True).data == CONTENT
    assert staged(storage) == []


def test_list(http: FlaskClient) -> None:
    for path in ("b/1.csv", "a.csv", "b/2.csv", "c.csv"):
        http.put(f"/files/{path}", data=b"x")

    def listed(**query: str | int) -> list[str]:
        return [file["path"] for file in http.get("/files", query_string=query).json["files"]]

    assert listed() == ["a.csv", "b/1.csv", "b/2.csv", "c.csv"]
    assert listed(folder="b") == ["b/1.csv", "b/2.csv"]
    assert listed(limit=2, after="a.csv") == ["b/1.csv", "b/2.csv"]
    assert listed(limit=0) == []
    assert listed(folder="nowhere") == []
    assert http.get("/files?folder=../x").status_code == 400
    assert http.get("/files?limit=-1").status_code == 400
    assert http.get("/files?limit=1001").status_code == 400
    assert http.get("/files?prefix=a").status_code == 400


def test_a_page_from_the_storage_does_not_speak_for_the_site(http: FlaskClient) -> None:
    http.put("/files/evil.html", data=b"<script>fetch('/clients')</script>")
    answer = http.get("/files/evil.html", buffered=True)
    assert answer.mimetype == "text/html"
    assert answer.headers["Content-Security-Policy"] == "sandbox allow-scripts"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_storage_that_fails_is_a_503(http: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StorageUnavailable("no space left on device")

    monkeypatch.setattr(FolderStorage, "_stage", fail)
    answer = http.put("/files/a.bin", data=b"x")
    assert answer.status_code == 503
    assert "no space left" in answer.json["error"]["message"]
