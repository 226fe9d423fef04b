"""Containers, as hardened as a cluster would run them, and how they are asked."""

import json
import shlex
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.image.builder import ROOT, Builder

HARDENED = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "host")
LIMIT = 120.0
NAMES = ["f1", "f2", "f3", "f4"]
SEED_ROW = {"data": {"names": NAMES, "ndarray": [[2.1, 2.05, 1.95, 2.01]]}}
FAR_ROW = {"data": {"names": NAMES, "ndarray": [[0.0, 0.0, 0.0, 0.0]]}}

FORBIDDEN = """
import os, re, site, sys
found = []
for top, folders, files in os.walk("/"):
    if top.startswith(("/proc", "/sys", "/dev")):
        folders.clear()
        continue
    for name in files:
        path = os.path.join(top, name)
        if name in ("gcc", "cc", "g++", "c++", "clang", "make", "ld") and os.access(path, os.X_OK):
            found.append(path)
        if "/.cache/" in path or (path.startswith(("/tmp/", "/src/", "/context/", "/root/")) and ".alive" not in path):
            found.append(path)
        if path.startswith("/opt/inlier") and re.search(r"/tests?/", path):
            found.append(path)
print("\\n".join(path for path in found if path not in ("/root/.bashrc", "/root/.profile")))
"""
"""Prints what an image should not hold: compilers, caches, build contexts, tests."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, path: str, body: object | None = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"} if data else {}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, answer.read()


def predict(port: int, body: object) -> list[list[float]]:
    status, answer = ask(port, "/predict", body)
    assert status == 200
    rows: list[list[float]] = json.loads(answer)["data"]["ndarray"]
    return rows


def score(port: int, body: object) -> float:
    return predict(port, body)[0][0]


def wait_until_ready(port: int, path: str = "/health/status") -> None:
    end = time.monotonic() + LIMIT
    while True:
        try:
            assert ask(port, path)[0] == 200
        except OSError:
            assert time.monotonic() < end, "the container never got ready"
            time.sleep(0.02)
        else:
            return


@contextmanager
def running(builder: Builder, image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """A container; its name. What it said is shown where the block fails."""
    name = f"inlier-test-{uuid.uuid4().hex[:8]}"
    builder("run", "--detach", "--name", name, *HARDENED, *options, image, *command)
    try:
        yield name
    except BaseException:
        print(builder("logs", name)[-5000:])
        raise
    finally:
        builder("rm", "--force", name)


@contextmanager
def microservice(builder: Builder, image: str, *options: str) -> Iterator[tuple[str, dict[str, int]]]:
    """A running microservice that is ready; its name and ports by kind."""
    ports = {"HTTP": free_port(), "GRPC": free_port(), "METRICS": free_port()}
    environment = [f"-ePREDICTIVE_UNIT_{kind}_SERVICE_PORT={number}" for kind, number in ports.items()]
    with running(builder, image, *environment, *options) as name:
        wait_until_ready(ports["HTTP"])
        yield name, ports


def stop(builder: Builder, name: str) -> tuple[str, float]:
    """SIGTERM, and SIGKILL five seconds later; the exit status and how long it took."""
    begin = time.monotonic()
    builder("stop", "--time", "5", name)
    return builder.inspect(name, "{{.State.ExitCode}}"), time.monotonic() - begin


def config_of(builder: Builder, image: str) -> dict[str, Any]:
    """What an image says of itself."""
    found: dict[str, Any] = json.loads(builder.inspect(image, "{{json .Config}}"))
    return found


def is_healthy(builder: Builder, name: str) -> bool:
    """Run the HEALTHCHECK of its image in a container."""
    words = builder.inspect(name, "{{json .Config.Healthcheck.Test}}")
    test = json.loads(words)
    probe = test[1:] if test[0] == "CMD" else ["sh", "-c", test[1]]
    done = subprocess.run([*builder.run, "exec", name, *probe], capture_output=True, text=True)
    print(shlex.join(probe), done.returncode, done.stderr)
    return done.returncode == 0


def base_of(version: str) -> str:
    line = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("FROM python:"))
    return line.split()[1].replace("${PYTHON}", version)
