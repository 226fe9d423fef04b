"""Whether what is served still looks like what was trained on."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from training.histograms import Histogram
    from training.model import Model

MIN_ROWS: Final = 100
"""Fewer rows say little: the index of 100 rows of the very training data is about 0.1."""

_GROUPS: Final = 10


def population_stability_index(trained: "Histogram", values: npt.NDArray[np.float64]) -> float:
    """How far values are from a distribution: the sum of (p - q) ln(p / q) over ten groups.

    Parameters
    ----------
    trained : Histogram
        Of the training rows. Neighbouring bins are put together until each group holds about a tenth of them.
    values : ndarray of float64
        Of late; NaN is left out. What is beyond the outermost edges counts for the outermost groups.

    Returns
    -------
    float
        0 for the same distribution; by custom, above 0.1 there is some change and above 0.2 much. NaN if nothing is
        known on one side.
    """
    values = values[~np.isnan(values)]
    total = int(trained.counts.sum())
    if not len(values) or not total:
        return float("nan")
    groups = _groups(trained.counts)
    bins = np.clip(np.searchsorted(trained.edges, values, side="right") - 1, 0, len(trained.counts) - 1)
    expected = np.bincount(groups, trained.counts, minlength=groups[-1] + 1)
    found = np.bincount(groups[bins], minlength=groups[-1] + 1)
    p = (expected + 0.5) / (total + 0.5 * len(expected))
    q = (found + 0.5) / (len(values) + 0.5 * len(expected))
    return float(np.sum((p - q) * np.log(p / q)))


def _groups(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each bin its group; bins before the middle of a tenth belong to it."""
    middle = np.cumsum(counts) - counts / 2
    groups = np.minimum((middle / counts.sum() * _GROUPS).astype(np.int64), _GROUPS - 1)
    return np.unique(groups, return_inverse=True)[1]


def gauges(model: "Model", recent: npt.NDArray[Any]) -> list[tuple[str, dict[str, str], float]]:
    """Drift of every feature and of the scores.

    Parameters
    ----------
    model : Model
        With the histograms of training.
    recent : ndarray of shape (n, d + 1)
        Rows with their score.

    Returns
    -------
    list of (name, labels, value)
        For `Metrics.render`; only the number of rows if there are too few.
    """
    found: list[tuple[str, dict[str, str], float]] = [("inlier_recent_rows", {}, float(len(recent)))]
    if len(recent) < MIN_ROWS:
        return found
    for index, name in enumerate(model.feature_names):
        index_of_feature = population_stability_index(model.histograms[name], recent[:, index])
        found.append(("inlier_feature_drift", {"feature": name}, index_of_feature))
    found.append(("inlier_score_drift", {}, population_stability_index(model.score_histogram, recent[:, -1])))
    return found
