"""iNNE against PyPI's `inne` and PyOD: CPU seconds on one thread, and memory, in one run, in turns, medians.

    python benchmarks/inne.py [--repeats 5] [--large]

Each library runs in an interpreter of its own; the peers' is made at the first run, from
benchmarks/requirements/inne.txt. The data are Gaussian, every detector has 100 members. `--large` adds 64 features,
samples of 256 and a million rows. The exit status is 1 if a bar is missed.

The peers take the ratio of squared radii where the publication takes that of radii; it costs the same.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers

MIX = {"n_estimators": 250, "max_samples": [2, 4, 8, 16, 32], "max_features": 0.75, "scoring": "graded"}
SCORING = {"inlier": "anomaly_score", "inne": "score_samples", "pyod": "decision_function"}


@functools.lru_cache(maxsize=2)
def data(n_rows: int, n_features: int) -> np.ndarray:
    return np.random.RandomState(0).normal(size=(n_rows, n_features))


def make(library: str, psi: int, parameters: dict[str, Any]) -> Any:
    if library == "inlier":
        from detectors.inne import INNE

        return INNE(**{"max_samples": psi, "random_state": 0, **parameters})
    if library == "inne":
        from inne import IsolationNNE

        return IsolationNNE(n_estimators=100, max_samples=psi, random_state=0)
    from pyod.models import inne

    return inne.INNE(n_estimators=100, max_samples=psi, random_state=0)


@functools.lru_cache(maxsize=4)
def scorer(library: str, psi: int, d: int, parameters: tuple[tuple[str, Any], ...] = ()) -> Callable[..., np.ndarray]:
    detector = make(library, psi, dict(parameters)).fit(data(2_000, d))
    score = getattr(detector, SCORING[library])
    score(data(2_000, d))
    score(data(2_000, d)[:1])
    return score


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def score(library: str, n_rows: int, d: int, psi: int, **parameters: Any) -> float:
    parameters = {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}
    scores, rows = scorer(library, psi, d, tuple(parameters.items())), data(n_rows, d)
    return cpu_seconds(lambda: scores(rows))


def explain(library: str, n_rows: int, d: int, psi: int, **parameters: Any) -> float:
    parameters = {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}
    detector, rows = scorer(library, psi, d, tuple(parameters.items())).__self__, data(n_rows, d)
    detector.feature_contributions(rows[:1_000])
    return cpu_seconds(lambda: detector.feature_contributions(rows))


def fit(library: str, n_rows: int, d: int, psi: int) -> float:
    rows = data(n_rows, d)
    scorer(library, psi, d)
    return cpu_seconds(lambda: make(library, psi, {}).fit(rows))


def one_row(library: str, d: int, psi: int, times: int) -> float:
    scores, row = scorer(library, psi, d), data(2_000, d)[5:6].copy()
    return cpu_seconds(lambda: [scores(row) for _ in range(times)]) / times


def one_row_in_the_kernel(library: str, d: int, psi: int, times: int) -> float:
    from detectors.inne_few import score_rows

    detector, row, out = scorer(library, psi, d).__self__, data(2_000, d)[5:6].copy(), np.empty(1)
    arguments = (row, out, *detector._narrow)
    return cpu_seconds(lambda: [score_rows(*arguments) for _ in range(times)]) / times


def extra_memory(library: str, n_rows: int, d: int, psi: int) -> float:
    """Megabytes that scoring takes at its peak beyond what is there before and the result, as Linux counts them."""
    scores, rows = scorer(library, psi, d), data(n_rows, d)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = megabytes("VmRSS")
    result = scores(rows)
    return megabytes("VmHWM") - before - result.nbytes / 1e6


def megabytes(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(field))


def on_threads(library: str, count: int, n_rows: int, d: int, psi: int) -> float:
    from detectors.blocks import threads

    scores, rows = scorer(library, psi, d), data(n_rows, d)
    with threads(count):
        start = time.perf_counter()
        scores(rows)
        return time.perf_counter() - start


def child(library: str) -> None:
    sys.path.pop(0)  # this folder, where this file would be taken for the package `inne`
    functions = (score, explain, fit, one_row, one_row_in_the_kernel, extra_memory, on_threads)
    peers.answer({function.__name__: functools.partial(function, library) for function in functions})


class Comparison:
    """Ours and the peers, asked in turns."""

    def __init__(self, ours: peers.Peer, inne: peers.Peer, pyod: peers.Peer, repeats: int) -> None:
        self.ours, self.inne, self.pyod, self.repeats = ours, inne, pyod, repeats
        self.missed = 0

    def turns(self, *measurements: Callable[[], float], repeats: int | None = None) -> list[float]:
        return peers.alternate(repeats or self.repeats, *measurements)

    def report(self, what: str, theirs: float, ours: float, bar: float, unit: str = "s") -> None:
        self.missed += not peers.report(what, theirs, ours, bar, unit)

    def scoring(self, n_rows: int, d: int, psi: int, bar: float) -> None:
        case = {"n_rows": n_rows, "d": d, "psi": psi}
        calls = [functools.partial(library, "score", **case) for library in (self.inne, self.pyod, self.ours)]
        inne, pyod, ours = self.turns(*calls)
        self.report(f"score {n_rows} x {d}, psi {psi}, against inne", inne, ours, bar)
        self.report(f"score {n_rows} x {d}, psi {psi}, against PyOD", pyod, ours, bar)

    def fitting(self) -> None:
        case = {"n_rows": 100_000, "d": 4, "psi": 16}
        inne, ours = self.turns(lambda: self.inne("fit", **case), lambda: self.ours("fit", **case))
        self.report("fit 100000 x 4, psi 16, against inne", inne, ours, 25)
        self.report("fit 100000 x 4, psi 16, against PyOD", self.pyod("fit", **case), ours, 25)

    def one_row(self) -> None:
        case = {"d": 4, "psi": 16}
        peer, ours, kernel = self.turns(
            lambda: self.inne("one_row", times=5, **case),
            lambda: self.ours("one_row", times=2_000, **case),
            lambda: self.ours("one_row_in_the_kernel", times=2_000, **case),
        )
        self.report("one row x 4, psi 16, anomaly_score", peer * 1e6, ours * 1e6, 500, "us")
        self.report("one row x 4, psi 16, in the kernel", peer * 1e6, kernel * 1e6, 2000, "us")

    def memory(self) -> None:
        for d in (4, 64):
            case = {"n_rows": 100_000, "d": d, "psi": 16}
            inne, ours = (library("extra_memory", **case) for library in (self.inne, self.ours))
            print(f"{f'extra memory, 100000 x {d}, psi 16':<48} {inne:>11.1f} {ours:>11.1f} MB    (bar: 10 MB)")
            self.missed += ours > 10

    def threads(self) -> None:
        case = {"n_rows": 100_000, "d": 4, "psi": 16}
        calls = [functools.partial(self.ours, "on_threads", count=count, **case) for count in (1, 2)]
        one, two = self.turns(*calls, repeats=3 * self.repeats)
        self.report("100000 x 4, psi 16: one thread, two threads", one, two, 1.7)

    def large(self) -> None:
        self.scoring(4_000, 4, 256, 12)
        self.scoring(10_000, 64, 16, 3)
        self.scoring(4_000, 64, 256, 1)
        for d in (4, 16, 64):
            # 250 members of 12.4 centres in the mean are as many as 100 of 31.
            case = {"n_rows": 10_000, "d": d}
            plain, mixed = self.turns(
                lambda case=case: self.ours("score", psi=31, **case),
                lambda case=case: self.ours("score", psi=2, **case, **MIX),
            )
            self.report(f"10000 x {d}: plain, graded mix of as many centres", plain, mixed, 1 / 1.5)
        for d, psi in ((4, 16), (4, 256), (64, 16)):
            seconds = self.ours("score", n_rows=1_000_000, d=d, psi=psi)
            print(f"{f'score 1000000 x {d}, psi {psi}':<64} {seconds:>11.4g} s", flush=True)
        self.explaining()

    def explaining(self) -> None:
        for d in (4, 16, 64):
            case = {"n_rows": 10_000, "d": d, "psi": 2}
            scoring, explaining = self.turns(
                lambda case=case: self.ours("score", **case, **MIX),
                lambda case=case: self.ours("explain", **case, **MIX),
            )
            self.report(f"10000 x {d}, graded mix: score, explain", scoring, explaining, 1 / 3)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repeats", type=int, default=5, help="how often each measurement is taken")
    arguments.add_argument("--large", action="store_true", help="also 64 features, samples of 256, a million rows")
    arguments.add_argument("--child", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.child:
        child(chosen.child)
        return 0
    theirs = peers.interpreter("inne")
    one = {"INLIER_THREADS": "1"}
    with (
        peers.Peer(sys.executable, __file__, "--child", "inlier", environment=one) as ours,
        peers.Peer(theirs, __file__, "--child", "inne") as inne,
        peers.Peer(theirs, __file__, "--child", "pyod") as pyod,
    ):
        print(f"{'':<52} {'theirs':>11} {'ours':>11}")
        comparison = Comparison(ours, inne, pyod, chosen.repeats)
        comparison.scoring(10_000, 4, 16, 25)
        comparison.scoring(10_000, 16, 16, 8)
        comparison.fitting()
        comparison.one_row()
        comparison.memory()
        comparison.threads()
        if chosen.large:
            comparison.large()
    print(f"{comparison.missed} bars missed")
    return int(comparison.missed > 0)


if __name__ == "__main__":
    sys.exit(main())
