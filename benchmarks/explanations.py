"""How often iNNE's explanation of a row names the feature that was corrupted first.

    python benchmarks/explanations.py [--seeds 5]

Rows are correlated Gaussian: independent ones times a random matrix. In each of 500 new rows a random feature is set 3
standard deviations above or below its mean, or moved by 3, which may leave an ordinary value.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from unlabelled import table

DIMENSIONS = (4, 16, 64)
N_TRAINING, N_CORRUPTED = 2000, 500
WAYS = ("set", "moved")


def corrupted(d: int, seed: int, way: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Training rows, corrupted rows, and which feature of each it is."""
    random = np.random.RandomState(seed)
    mixing = random.normal(size=(d, d))
    rows = random.normal(size=(N_TRAINING, d)) @ mixing
    others = random.normal(size=(N_CORRUPTED, d)) @ mixing
    features, each = random.randint(0, d, N_CORRUPTED), np.arange(N_CORRUPTED)
    shift = 3.0 * np.linalg.norm(mixing, axis=0)[features] * random.choice([-1.0, 1.0], N_CORRUPTED)
    others[each, features] = shift + (others[each, features] if way == "moved" else 0.0)
    return rows, others, features


def detectors() -> Iterator[tuple[str, dict[str, object]]]:
    yield "`train`'s default", {}
    yield "the same with max_features=None", {"max_features": None}
    yield 'the same with max_features="sqrt"', {"max_features": "sqrt"}
    yield (
        "the class's default",
        {
            "n_estimators": 100,
            "max_samples": 32,
            "max_features": None,
            "scoring": "isolation",
            "scaling": "none",
        },
    )


def named_first(parameters: dict[str, object], d: int, way: str, seeds: int) -> float:
    from training.features import Features
    from training.train import train

    shares = []
    for seed in range(seeds):
        rows, others, features = corrupted(d, seed, way)
        columns = tuple(f"f{column}" for column in range(d))
        model = train("inne", Features(rows, columns), parameters=parameters, seed=seed)
        shares.append((model.detector.feature_contributions(others).argmax(axis=1) == features).mean())
    return float(np.mean(shares))


def section(seeds: int) -> str:
    rows = [
        [name, *(f"{named_first(parameters, d, way, seeds):.1%}" for way in WAYS for d in DIMENSIONS)]
        for name, parameters in detectors()
    ]
    header = ["iNNE", *(f"{way}, d = {d}" for way in WAYS for d in DIMENSIONS)]
    return table(header, rows)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=5)
    print(section(arguments.parse_args().seeds))
