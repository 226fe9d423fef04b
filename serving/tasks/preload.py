"""What the process that children are forked from does first, so that a child has nothing to import or to compile.

It is imported there, and nowhere else. No thread may be left running: a child has none but the one that forked it.
"""

import atexit
import importlib
import io
import logging
import os

import serving.tasks.child
import serving.tasks.examples  # noqa: F401
from detectors.blocks import threads
from detectors.registry import DETECTORS
from training.data import read_features, read_labels
from training.metrics import evaluate
from training.predictions import predict, write_csv
from training.synthetic import clusters, series
from training.train import train

log = logging.getLogger(__name__)

NICENESS = 5

DRAWING = ("matplotlib.pyplot", "plotly.graph_objects", "tsdownsample", "training.charts")


def warm_up() -> None:
    """Load every detector's kernels, and what reads and writes files, by a very small job of each kind."""
    rows, labels = clusters(n_per_cluster=20, n_anomalies=2)
    times, _ = series(n_rows=60, n_spikes=1, n_shifts=0)
    file = io.BytesIO()
    for name, detector in DETECTORS.items():
        features = times if detector.kind == "univariate" else rows
        model = train(name, features, seed=0)
        model.warm_up()
        write_csv(file, predict(model, features), features)
    evaluate(labels, labels.astype(float), 0.5)
    read_features(io.BytesIO(b"Time,a\n2024-01-01,1\n2024-01-02,2\n"), name="a", missing=True)
    read_labels(io.BytesIO(b"a\n1\n0\n"), name="a")


def import_drawing() -> None:
    """Import what draws charts, where it is installed."""
    try:
        for module in DRAWING:
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        log.info("no charts: %s", error)


# it ends with its worker, and has nothing to put away: taking all of this apart would take seconds
atexit.register(os._exit, 0)
# who waits for a prediction goes before what has to be trained
os.nice(NICENESS)
import_drawing()
with threads(1):
    warm_up()
