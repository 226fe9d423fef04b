"""The real proxy, of one process, and clients that fall silent."""

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
import urllib3

from serving.deploy.addresses import free_port

THREADS = 2
LIMIT = 60.0
PART = 2**20
HEAD = b"PUT /files/p/f/x.csv HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory, migrated):
    folder = tmp_path_factory.mktemp("listening")
    (folder / "inlier.db").write_bytes(migrated.read_bytes())
    port = free_port()
    settings = {
        "INLIER_HOME": str(folder),
        "INLIER_PROXY_WORKERS": "1",
        "INLIER_PROXY_THREADS": str(THREADS),
        "INLIER_PROXY_SILENT_SECONDS": "1",
    }
    log = folder / "log"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "serving.proxy", "--port", str(port)]
        process = subprocess.Popen(command, env=os.environ | settings, stdout=file, stderr=file)
    until = time.monotonic() + LIMIT
    while ping(port, 1) != 200:
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    yield port
    process.terminate()
    assert process.wait(30) == 0
    assert "Traceback" not in log.read_text()


def ping(port, seconds=LIMIT):
    try:
        return urllib3.request("GET", f"http://127.0.0.1:{port}/health/ping", timeout=seconds, retries=False).status
    except urllib3.exceptions.HTTPError:
        return None


def connect(port):
    return socket.create_connection(("127.0.0.1", port), LIMIT)


def until_closed(connection):
    answer = b""
    while data := connection.recv(2**16):
        answer += data
    return answer


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET /hea", b""),
        (HEAD + b"Content-Length: 100\r\n\r\nabc", b"HTTP/1.1 408 "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n50\r\nabc", b"HTTP/1.1 408 "),
    ],
    ids=["head", "body", "chunk"],
)
def test_they_do_not_keep_the_threads(port, sent, answer):
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(port)) for _ in range(THREADS + 1)]
        for connection in silent:
            connection.sendall(sent)
        assert ping(port) == 200
        for connection in silent:
            assert until_closed(connection)[: len(answer) or None] == answer


def test_a_slow_client_is_none_of_them(port):
    content = os.urandom(12 * PART)
    with connect(port) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(content))
        for start in range(0, len(content), 2 * PART):  # six of them, and twice as long as it may be silent
            time.sleep(0.3)
            connection.sendall(content[start : start + 2 * PART])
        assert connection.recv(100).startswith(b"HTTP/1.1 201 ")
    with connect(port) as connection, connection.makefile("rb") as answer:
        connection.sendall(b"GET /files/p/f/x.csv HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        got = b""
        while part := answer.read(2 * PART):
            got += part
            time.sleep(0.3)
        assert got.endswith(content)
