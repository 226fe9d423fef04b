"""A real `inlier up` in a folder of its own, and the commands as a person runs them."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from serving.deploy.addresses import free_port

BIN = Path(sys.executable).parent
LIMIT = 120


class System:
    """`inlier up` on a free port; ``close`` stops it."""

    def __init__(self, folder: Path, home: str = ".inlier", **environment: str) -> None:
        self.folder = folder
        self.home = folder / home
        self.port = free_port()
        self.server = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("INLIER_")},
            "INLIER_HOME": home,
            **environment,
        }
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> str:
        """Start it and return the line that says where it listens."""
        self.process = subprocess.Popen(
            [BIN / "inlier", "up", "--port", str(self.port), *options],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "listens" in line, line + self.process.stdout.read()
        return line

    def wait_for_examples(self) -> None:
        """Wait until a new home's worker has put the examples into its storage."""
        end = time.monotonic() + LIMIT
        while not (self.home / "examples").exists():
            assert time.monotonic() < end, (self.home / "logs/worker.log").read_text()
            time.sleep(0.1)

    def close(self, number: int = signal.SIGTERM) -> int:
        """Stop it and return its status."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(LIMIT)

    def run(self, line: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a line as it would be typed."""
        name, *arguments = shlex.split(line)
        return subprocess.run(
            [BIN / name, *arguments],
            cwd=self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )

    def wait_for(self, what: Callable[[], bool]) -> None:
        """Wait until something is so."""
        until = time.monotonic() + LIMIT
        while not what():
            assert time.monotonic() < until, self.processes()
            time.sleep(0.05)

    def processes(self) -> dict[int, str]:
        """Return the processes of this home that still run."""
        mark = f"INLIER_HOME={self.home}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
                except OSError:
                    continue
        return found
