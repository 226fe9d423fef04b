"""``python -m serving.warm``: compile every kernel of every detector into numba's cache, once, while an image is built.

It does with generated data what workers and microservices do: train, search by labels, and score as a server scores.
"""

from detectors.registry import DETECTORS
from serving.models import MODELS
from training.defaults import demo_parameters
from training.synthetic import clusters, series
from training.train import train

FEW_ROWS = 300
"""For a search, which fits many times."""


def warm(detector: str) -> None:
    """Use everything that a detector has compiled."""
    of_series = DETECTORS[detector].kind == "univariate"
    rows, _ = series() if of_series else clusters()
    few, labels = series(n_rows=FEW_ROWS) if of_series else clusters(n_per_cluster=FEW_ROWS // 3)
    for model in (
        train(detector, rows, seed=0),
        train(detector, rows, parameters=demo_parameters(detector), seed=0),
        train(detector, few, labels, seed=0),
    ):
        MODELS[detector].of(model)


if __name__ == "__main__":
    for name in DETECTORS:
        warm(name)
