"""A training job of a million rows against what it cannot do without: pandas' reading of the file, and the fit.

    python benchmarks/jobs.py [--detector dbscan] [--rows 1000000] [--repeats 3] [--charts]

Everything in an interpreter of its own, the best of the repeats. Besides reading and fitting, the job scores every
row, writes the predictions, and writes the model. DBSCAN gets `eps`, because finding one is no part of fitting. Memory
is the peak over what the interpreter holds with everything imported and compiled; it includes the rows themselves. The
exit status is 1 if a bar is missed: in CPU seconds 3 times the reading and the fit, in memory the rows and 4 times as
much.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from detectors.registry import find
from training.defaults import training_parameters
from training.jobs import Job, TrainRequest, train
from training.storage import FolderStorage
from training.train import make

PARAMETERS: dict[str, dict[str, Any]] = {"dbscan": {"eps": 1.5, "min_samples": 10}}
BAR_READS, BAR_MEMORY = 3.0, 4.0


def data(n_rows: int) -> pd.DataFrame:
    """Return twenty Gaussian clusters in four dimensions, and 1 % of uniform noise."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 100, size=(20, 4))
    rows = centres[rng.integers(20, size=n_rows)] + rng.normal(size=(n_rows, 4))
    noise = rng.random(n_rows) < 0.01
    rows[noise] = rng.uniform(0, 100, size=(int(noise.sum()), 4))
    return pd.DataFrame(rows, columns=list("abcd"))


def peak_mb() -> float:
    """Return the largest memory of this process since it was last reset."""
    return next(float(line.split()[1]) for line in status() if line.startswith("VmHWM")) / 1024


def held_mb() -> float:
    """Return the memory that this process has now."""
    return next(float(line.split()[1]) for line in status() if line.startswith("VmRSS")) / 1024


def status() -> list[str]:
    return Path("/proc/self/status").read_text().splitlines()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measured(work: Callable[[], Any]) -> dict[str, float]:
    before = held_mb()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    seconds, processor = time.perf_counter(), cpu()
    work()
    return {
        "seconds": time.perf_counter() - seconds,
        "cpu": cpu() - processor,
        "mb": peak_mb() - before,
    }


def child(what: str, detector: str, folder: Path, charts: bool) -> dict[str, float]:
    storage = FolderStorage(folder)
    parameters = PARAMETERS.get(detector, {})
    small = Job(storage, 1)
    train(TrainRequest(detector, "p/small", parameters=parameters, save_charts=charts), small).discard()
    if what == "read":
        return measured(lambda: pd.read_csv(folder / "p" / "large.csv"))
    if what == "fit":
        rows = pd.read_csv(folder / "p" / "large.csv").to_numpy().copy(order="C")
        made = make(find(detector), training_parameters(detector) | parameters)
        return measured(lambda: made.fit(rows))
    request = TrainRequest(detector, "p/large", parameters=parameters, save_charts=charts)
    return measured(lambda: train(request, Job(storage, 2)).discard())


def best(what: str, arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--detector", arguments.detector, "--child", what, "--folder", str(folder)]
    command += ["--charts"] if arguments.charts else []
    runs = [json.loads(subprocess.check_output(command)) for _ in range(arguments.repeats)]
    return {name: min(run[name] for run in runs) for name in runs[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", default="dbscan")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--charts", action="store_true")
    parser.add_argument("--child", choices=["read", "fit", "job"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments.child, arguments.detector, arguments.folder, arguments.charts)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "p").mkdir()
        data(2_000).to_csv(folder / "p" / "small.csv", index=False)
        data(arguments.rows).to_csv(folder / "p" / "large.csv", index=False)
        found = {what: best(what, arguments, folder) for what in ("read", "fit", "job")}
    print(f"{arguments.detector}, {arguments.rows:,} x 4\n{'':10}{'CPU s':>9}{'seconds':>9}{'MB':>8}")
    for what, label in (("read", "read_csv"), ("fit", "fit"), ("job", "train job")):
        numbers = found[what]
        print(f"{label:10}{numbers['cpu']:9.2f}{numbers['seconds']:9.2f}{numbers['mb']:8.0f}")
    array = arguments.rows * 4 * 8 / 2**20
    reads = (found["job"]["cpu"] - found["fit"]["cpu"]) / found["read"]["cpu"]
    arrays = found["job"]["mb"] / array - 1.0
    print(f"besides the fit {reads:.1f} times read_csv (bar {BAR_READS:g})")
    print(f"besides the rows {arrays:.1f} times the array of {array:.0f} MB (bar {BAR_MEMORY:g})")
    return int(reads > BAR_READS or arrays > BAR_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
