"""How values were distributed in training: kept in the model file, to be compared with what is served later."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

FEATURE_BINS = 32
SCORE_BINS = 64

_WIDE = 1e-12  # of the largest value: then a bin is 100 times what its edges are rounded by


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts between edges.

    Attributes
    ----------
    edges : ndarray of float64, shape (n_bins + 1,)
        Not decreasing; the last bin holds its right edge too.
    counts : ndarray of int64, shape (n_bins,)
        How many values fell into each bin; missing ones are not counted.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    @classmethod
    def of_feature(cls, values: npt.NDArray[np.float64]) -> Self:
        """Count the values of one feature between its smallest and its largest.

        Parameters
        ----------
        values : ndarray of float64
            One column, NaN where a value is missing.

        Returns
        -------
        Histogram
            `FEATURE_BINS` bins; of a constant, one unit wide in all; without values, all 0.
        """
        known = values[~np.isnan(values)] if np.isnan(values).any() else values
        if known.size == 0:
            return cls(np.linspace(0.0, 1.0, FEATURE_BINS + 1), np.zeros(FEATURE_BINS, np.int64))
        low, high = float(known.min()), float(known.max())
        if low == high and abs(low) < 2.0**52:  # beyond, half a unit is lost in rounding
            low, high = low - 0.5, high + 0.5
        share = np.linspace(0.0, 1.0, FEATURE_BINS + 1)
        edges = low * (1.0 - share) + high * share  # high - low may overflow
        edges = np.maximum.accumulate(np.clip(edges, low, high))
        width = high - low
        # where edges are rounded by less than a bin
        if _WIDE * max(abs(low), abs(high)) < width < np.inf and np.isfinite(FEATURE_BINS / width):
            counts = np.bincount(_bins(known, edges, FEATURE_BINS / width), minlength=FEATURE_BINS)
        else:
            counts, _ = np.histogram(known, edges)
        return cls(edges, counts.astype(np.int64))

    @classmethod
    def of_scores(cls, scores: npt.NDArray[np.float64]) -> Self:
        """Count anomaly scores between 0 and 1.

        Parameters
        ----------
        scores : ndarray of float64
            In [0, 1].

        Returns
        -------
        Histogram
            `SCORE_BINS` bins of the same width.
        """
        counts, edges = np.histogram(scores, SCORE_BINS, (0.0, 1.0))
        return cls(edges.astype(np.float64), counts.astype(np.int64))

    def as_dict(self) -> dict[str, Any]:
        """Edges and counts as lists, for JSON."""
        return {"edges": self.edges.tolist(), "counts": self.counts.tolist()}


def _bins(
    values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64], bins_per_unit: float
) -> npt.NDArray[np.int64]:
    """The bin of each value as a search among the edges finds it, by which drift is told, in a third of the time."""
    bins: npt.NDArray[np.int64] = np.minimum(((values - edges[0]) * bins_per_unit).astype(np.int64), len(edges) - 2)
    bins -= edges.take(bins) > values
    bins += np.append(edges[1:-1], np.inf).take(bins) <= values
    return bins
