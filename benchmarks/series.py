"""IQR, Quantile and Persist against ADTK 0.6.2: CPU seconds of fit and predict together, in one run.

    python benchmarks/series.py --adtk PYTHON [--rows 10000000]

PYTHON is an interpreter with ADTK, which does not run beside current pandas:

    uv venv -p 3.8 .venvs/adtk38
    uv pip install -p .venvs/adtk38/bin/python --require-hashes -r tests/detectors/adtk/requirements.txt

Every case runs in a process of its own, on the same series (a wave with noise and a few spikes, a stamp a second). Both
are given a pandas Series with a DatetimeIndex; the verdicts are counted and compared. What takes less than ten seconds
is run five times, and the fastest counts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CASES = {
    "iqr": ("IQR", {"c": 3.0}),
    "quantile": ("Quantile", {"low": 0.001, "high": 0.999}),
    "persist, window 1": ("Persist", {"window": 1, "c": 3.0}),
    "persist, window 24, median": ("Persist", {"window": 24, "agg": "median", "c": 3.0}),
    "persist, window 24, mean": ("Persist", {"window": 24, "agg": "mean", "c": 3.0}),
}
BARS = {
    "iqr": 2.5,
    "quantile": 3.5,
    "persist, window 1": 120,
    "persist, window 24, median": 24,
    "persist, window 24, mean": 16,
}


def write_series(file, n_rows):
    rng = np.random.default_rng(0)
    values = np.sin(np.arange(n_rows) / 5000.0) + 0.1 * rng.standard_normal(n_rows)
    values[rng.integers(0, n_rows, n_rows // 10_000)] += 20.0
    np.save(file, values)


def read_series(file):
    import pandas as pd

    values = np.load(file)
    return pd.Series(values, index=pd.date_range("2024-01-01", periods=len(values), freq="s"), name="value")


def detector(library, case):
    name, parameters = CASES[case]
    if library == "inlier":
        from detectors.registry import find

        return find(name)(**parameters)
    from adtk.detector import InterQuartileRangeAD, PersistAD, QuantileAD

    return {"IQR": InterQuartileRangeAD, "Quantile": QuantileAD, "Persist": PersistAD}[name](**parameters)


def fit_and_predict(library, case, series):
    made = detector(library, case)
    made.fit(series)
    found = made.predict(series)
    return int((found == -1).sum() if library == "inlier" else (found == 1).sum())


def child(library, case, file):
    series = read_series(file)
    fit_and_predict(library, case, series.iloc[:200_000])  # loads what is loaded at the first call
    took = []
    while len(took) < 5 and sum(took) < 10.0:
        start = time.process_time()
        flagged = fit_and_predict(library, case, series)
        took.append(time.process_time() - start)
    print(json.dumps({"seconds": min(took), "flagged": flagged}))


def measure(python, library, case, file):
    command = [python, "-W", "ignore", __file__, "--child", library, case, file]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--adtk", metavar="PYTHON", default=".venvs/adtk38/bin/python")
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--case", choices=CASES, action="append", help="only this one; repeatable")
    arguments.add_argument("--child", nargs=3, metavar=("LIBRARY", "CASE", "FILE"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        child(*given.child)
        return
    print(f"{given.rows:,} rows, CPU seconds of fit and predict together")
    print("| | ADTK s | Inlier s | faster | asked for |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "series.npy")
        write_series(file, given.rows)
        for case in given.case or CASES:
            ours, peer = measure(sys.executable, "inlier", case, file), measure(given.adtk, "adtk", case, file)
            if ours["flagged"] != peer["flagged"]:
                raise SystemExit(f"{case}: {ours['flagged']} anomalies, ADTK has {peer['flagged']}")
            ratio = peer["seconds"] / ours["seconds"]
            print(
                f"| {case} | {peer['seconds']:.2f} | {ours['seconds']:.3f} | {ratio:.1f}x | {BARS[case]}x |", flush=True
            )


if __name__ == "__main__":
    main()
