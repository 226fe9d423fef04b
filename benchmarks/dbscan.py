"""DBSCAN against scikit-learn's: CPU seconds and memory of `fit`, in one run, each in a process of its own.

    python benchmarks/dbscan.py [--quick]

Twenty Gaussian clusters and 1 % of uniform noise, `min_samples` 10; `eps` is the same for both and
leaves 2 % as noise: the uniform rows and the clusters' edges.
scikit-learn gets ``algorithm="kd_tree"``. The compared results are checked to be the same.
"""

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from detectors import kdtree
from detectors.critical_radius import critical_radii
from detectors.dbscan import DBSCAN

SIZES = ((100_000, 2), (100_000, 4), (100_000, 8), (1_000_000, 2))
MIN_SAMPLES = 10
NO_PEER = {(100_000, 8)}  # scikit-learn takes minutes and many gigabytes there


def data(n_rows: int, n_features: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.uniform(-50, 50, size=(20, n_features))
    rows = centres[rng.integers(20, size=n_rows)] + rng.normal(size=(n_rows, n_features))
    noise = rng.random(n_rows) < 0.01
    rows[noise] = rng.uniform(-55, 55, size=(int(noise.sum()), n_features))
    return rows


def radius(n_rows: int, n_features: int) -> float:
    tree = kdtree.build(data(n_rows, n_features), "euclidean")
    return float(np.quantile(critical_radii(tree, "euclidean", [MIN_SAMPLES])[0], 0.98))


def memory(field: str) -> float:
    """Megabytes of this process, as Linux counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def child(library: str, n_rows: int, n_features: int, eps: float) -> None:
    rows = data(n_rows, n_features)
    if library == "inlier":
        detector = partial(DBSCAN, eps=eps, min_samples=MIN_SAMPLES)
        detector().fit(data(2_000, n_features)).anomaly_score(rows[:1])  # loads the kernels
    else:
        from sklearn import cluster

        detector = partial(cluster.DBSCAN, eps=eps, min_samples=MIN_SAMPLES, algorithm="kd_tree")
        detector().fit(rows[:1000])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before, start = memory("VmRSS"), time.process_time()
    fitted = detector().fit(rows)
    seconds = time.process_time() - start
    extra = memory("VmHWM") - before
    result = {
        "seconds": seconds,
        "extra_mb": extra,
        "cores": int(fitted.core_sample_indices_.shape[0]),
        "noise": int((fitted.labels_ == -1).sum()),
        "clusters": int(fitted.labels_.max()) + 1,
    }
    print(json.dumps(result))


def measure(library: str, n_rows: int, n_features: int, eps: float) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", library, str(n_rows), str(n_features), repr(eps)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def one_row() -> None:
    rows = data(100_000, 2)
    detector = DBSCAN(eps=0.5, min_samples=MIN_SAMPLES).fit(rows)
    detector.anomaly_score(rows[:1])  # builds the tree
    for name, far in (("near a core sample", 0.01), ("far from all", 500.0)):
        queries = [rows[i : i + 1] + far for i in range(0, 20_000, 10)]
        took = []
        for call in (partial(kdtree.nearest, detector._cores.tree), detector.anomaly_score):
            call(queries[0])
            start = time.perf_counter()
            for query in queries:
                call(query)
            took.append((time.perf_counter() - start) / len(queries) * 1e6)
        print(
            f"one new row {name}, against 100k x 2: {took[0]:.0f} us in the kernel, {took[1]:.0f} us by anomaly_score"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="leave the million rows out")
    arguments.add_argument("--child", nargs=4, metavar=("LIBRARY", "ROWS", "FEATURES", "EPS"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        library, n_rows, n_features, eps = given.child
        child(library, int(n_rows), int(n_features), float(eps))
        return
    print("| rows, features | scikit-learn s / MB | Inlier s / MB | faster |")
    print("| --- | --- | --- | --- |")
    for size in SIZES[:-1] if given.quick else SIZES:
        eps = radius(*size)
        ours = measure("inlier", *size, eps)
        cells = [f"{size[0]:,}, {size[1]}", "-", f"{ours['seconds']:.2f} / {ours['extra_mb']:.0f}", "-"]
        if size not in NO_PEER:
            peer = measure("scikit-learn", *size, eps)
            for key in ("cores", "noise", "clusters"):
                if peer[key] != ours[key]:
                    raise SystemExit(f"{key} differ at {size}: {peer} against {ours}")
            cells[1], cells[3] = (
                f"{peer['seconds']:.2f} / {peer['extra_mb']:.0f}",
                f"{peer['seconds'] / ours['seconds']:.1f}x",
            )
        print(f"| {' | '.join(cells)} |", flush=True)
    one_row()


if __name__ == "__main__":
    main()
