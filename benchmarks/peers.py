"""Run a benchmark's peers beside ours: each library in an interpreter of its own, answering one call after the other.

A peer's environment is made under ``.venvs/`` from ``benchmarks/requirements/<name>.txt``, and again when that file
changes. Only the standard library is imported here, so that a script a peer runs can import this module too.
"""

import json
import os
import statistics
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".venvs"

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "NUMBA")}


def interpreter(name: str) -> Path:
    """The Python of a peer's environment, which is made if it is not there yet."""
    lock = HERE / "requirements" / f"{name}.txt"
    folder = ENVIRONMENTS / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = f"{zlib.crc32(lock.read_bytes()):08x}"
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"making {folder} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",  # a lock has them all, or leaves out on purpose what is not needed
            "--require-hashes",
            "-r",
            lock,
        ]
        subprocess.run(install, check=True)
        stamp.write_text(wanted)
    return python


class Peer:
    """A script in another interpreter that answers calls until the ``with`` block ends.

    Parameters
    ----------
    python : path
        The interpreter.
    script : path
        What it runs; it calls `answer`.
    arguments : str
        What the script is given.
    environment : mapping, optional
        Set besides this process's own variables and one thread for every numerical library.
    """

    def __init__(
        self, python: Path | str, script: Path | str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._child = subprocess.Popen(
            [python, "-W", "ignore", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_THREAD, **(environment or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.stdin.close()
        self._child.wait(timeout=60)
        self._child.stdout.close()

    def __call__(self, function: str, **arguments: Any) -> Any:
        """Call one of the functions the script answers with, and give back what it returned."""
        print(json.dumps([function, arguments]), file=self._child.stdin, flush=True)
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._child.args[3]} ended with status {self._child.wait()}")
        return json.loads(line)


def answer(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Answer the calls of a `Peer`, one a line, until there are no more."""
    wire, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not be taken for an answer
    for line in sys.stdin:
        function, arguments = json.loads(line)
        print(json.dumps(functions[function](**arguments)), file=wire, flush=True)


def alternate(repeats: int, *measurements: Callable[[], float]) -> list[float]:
    """Take each measurement in turn, several times; the median of each."""
    rounds = [[measure() for measure in measurements] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def report(what: str, theirs: float, ours: float, bar: float, unit: str = "s") -> bool:
    """Print one line of a comparison where less is better, and say whether the bar is reached."""
    ratio = theirs / ours
    verdict = "" if ratio >= bar else "  MISSED"
    print(f"{what:<52} {theirs:>11.4g} {ours:>11.4g} {unit:<3} {ratio:>8.3g}x  (bar: {bar:.3g}x){verdict}", flush=True)
    return ratio >= bar
