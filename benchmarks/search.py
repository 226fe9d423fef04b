"""The search for the best DBSCAN against refitting scikit-learn's: seconds, and the F1 that is found.

    python benchmarks/search.py

The peer fits a grid of 20 radii, between those that leave 90 % and 0.1 % as noise, and 10 values of `min_samples`
(2, 4, ..., 20): 200 times. The search takes every radius and every `min_samples` from 2 to 20. Seconds are of CPU, F1
is in sample on both sides. "All" is what ``inlier train --labels`` does: four scalings and cross-validation.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
from sklearn.cluster import DBSCAN
from sklearn.metrics import f1_score

from detectors.critical_radius import critical_radii
from detectors.kdtree import build
from training.candidates import MIN_SAMPLES
from training.features import Features
from training.limits import Limit, Ranked
from training.search import search

N_ROWS = 10_000

Result = TypeVar("Result")


def data(n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten clusters of different density, and 3 % of rows anywhere: the anomalies."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(-10, 10, size=(10, n_features))
    spreads = rng.uniform(0.3, 1.2, size=10)
    member = rng.integers(10, size=N_ROWS)
    rows = centres[member] + spreads[member, np.newaxis] * rng.normal(size=(N_ROWS, n_features))
    labels = (rng.random(N_ROWS) < 0.03).astype(np.int64)
    rows[labels == 1] = rng.uniform(-13, 13, size=(int(labels.sum()), n_features))
    return rows, labels


def cpu(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def grid(rows: np.ndarray, labels: np.ndarray) -> float:
    needed = critical_radii(build(rows, "euclidean"), "euclidean", [10])[0]
    radii = np.geomspace(*np.quantile(needed, [0.1, 0.999]), 20)
    return max(
        f1_score(labels, DBSCAN(eps=eps, min_samples=m).fit(rows).labels_ == -1, zero_division=0.0)
        for eps in radii
        for m in range(2, 21, 2)
    )


def every_radius(rows: np.ndarray, labels: np.ndarray) -> Limit:
    radii = critical_radii(build(rows, "euclidean"), "euclidean", MIN_SAMPLES)
    return max((Ranked.of(values, labels, None, 0.0).best() for values in radii), key=lambda limit: limit.f1)


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    print("| rows, features | grid: s, F1 | search: s, F1 | faster | all: s, F1, cross-validated |")
    print("| --- | --- | --- | --- | --- |")
    for n_features in (2, 8):
        rows, labels = data(n_features)
        every_radius(rows[:500], labels[:500])  # loads the kernels
        peer_seconds, peer_f1 = cpu(partial(grid, rows, labels))
        seconds, best = cpu(partial(every_radius, rows, labels))
        features = Features(rows, tuple(f"f{k}" for k in range(n_features)))
        all_seconds, found = cpu(partial(search, "dbscan", features, labels))
        if best.f1 < peer_f1:
            raise SystemExit(f"the grid found more: {peer_f1} against {best.f1}")
        print(
            f"| {N_ROWS:,}, {n_features} | {peer_seconds:.2f}, {peer_f1:.3f} | {seconds:.3f}, {best.f1:.3f} "
            f"| {peer_seconds / seconds:.0f}x | {all_seconds:.2f}, {found.best.f1:.3f}, "
            f"{found.best.f1_cross_validated:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
