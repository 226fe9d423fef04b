"""Servers as processes of their own: ours, and the genuine wrapper."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A process that answers Seldon's protocol, from ready to stopped.

    Its output goes to a file, so that it never waits for a reader.
    """

    def __init__(self, command: list[str], environment: dict[str, str], port: int = 0) -> None:
        self.command, self.environment, self.port = command, environment, port
        self.log = Path(tempfile.mkstemp(suffix=".log")[1])

    def __enter__(self) -> Self:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("INLIER_", "PREDICTIVE_"))}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=clean | {"PYTHONPATH": str(ROOT)} | self.environment,
                cwd=ROOT,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise
        return self

    def _wait(self) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            assert self.process.poll() is None, self.output
            if not self.port and (found := re.search(r"serving .* at http://[^\s\"]*:(\d+)[\"\n]", self.output)):
                self.port = int(found[1])
            try:
                if self.port and self.get("/health/ping")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready within 120 s: {self.output}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.log.unlink()

    def kill(self) -> None:
        """End the whole session: the wrapper is several processes, and may ignore SIGTERM."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self, seconds: float = 30) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask(urllib.request.Request(self.url + path))

    def post(self, path: str, body: Any, kind: str = "application/json") -> tuple[int, bytes]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._ask(urllib.request.Request(self.url + path, raw, {"Content-Type": kind}))

    def _ask(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


def ours(target: str | Path, *options: str, **environment: str) -> Server:
    """``inlier serve`` on a free port."""
    command = [sys.executable, "-m", "serving.cli", "serve", "--port", "0", *options, str(target)]
    return Server(command, environment)


def genuine(python: Path, target: str, parameters: list[dict[str, str]] | None = None, **environment: str) -> Server:
    """``seldon-core-microservice`` on free ports."""
    port = free_port()
    ports = {
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(port),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(free_port()),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(free_port()),
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters or []),
    }
    command = [str(python.with_name("seldon-core-microservice")), target, "--service-type", "MODEL"]
    return Server(command, ports | environment, port)
