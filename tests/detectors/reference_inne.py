"""iNNE in plain numpy, word for word as it is defined, to compare the kernels with."""

import numpy as np

from detectors.inne import INNE


def squared_distances(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Between all of `some` and all of `others`; features are summed in their order, as the kernels promise."""
    total = np.zeros((len(some), len(others)))
    for feature in range(some.shape[1]):
        total += (some[:, feature, np.newaxis] - others[np.newaxis, :, feature]) ** 2
    return total


def member_scores(sample: np.ndarray, rows: np.ndarray, scoring: str) -> np.ndarray:
    between = squared_distances(sample, sample)
    np.fill_diagonal(between, np.inf)
    nearest, squares = between.argmin(axis=1), between.min(axis=1)
    radii = np.sqrt(squares)
    distances = squared_distances(rows, sample)
    if scoring == "graded":
        delta, median = np.sqrt(distances.min(axis=1)), np.median(radii)
        return np.array([one / (one + median) if one > 0 else 0.0 for one in delta])
    scores = np.ones(len(rows))
    for row in range(len(rows)):
        covering = np.flatnonzero(distances[row] <= squares)
        if covering.size:
            smallest = covering[np.argmin(squares[covering])]
            scores[row] = 1 - radii[nearest[smallest]] / radii[smallest] if radii[smallest] > 0 else 0.0
    return scores


def anomaly_score(detector: INNE, rows: np.ndarray) -> np.ndarray:
    return np.mean(
        [member_scores(sample, rows[:, features], detector.scoring) for sample, features in members(detector)], 0
    )


def members(detector: INNE) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each member's sample and the features it looks at."""
    return list(zip(np.split(detector.centres_, detector.offsets_[1:-1]), detector.features_, strict=True))


def feature_contributions(detector: INNE, rows: np.ndarray) -> np.ndarray:
    parts, weights = np.zeros(rows.shape), np.zeros(rows.shape[1])
    for sample, features in members(detector):
        weights[features] += len(sample)
        between = squared_distances(sample, sample)
        np.fill_diagonal(between, np.inf)
        by_radius = sample[between.min(axis=1).argsort(kind="stable")]  # of equally near centres the first
        chosen = rows[:, features]
        centre = by_radius[squared_distances(chosen, by_radius).argmin(axis=1)]
        squares = (chosen - centre) ** 2
        total = squares.sum(axis=1, keepdims=True)
        parts[:, features] += len(sample) * np.divide(squares, total, out=np.zeros_like(squares), where=total > 0)
    parts /= np.maximum(weights, 1)
    total = parts.sum(axis=1, keepdims=True)
    return np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)
