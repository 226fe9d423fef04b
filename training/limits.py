"""The limit that agrees best with labels, exactly: not on a grid, but at every place where a verdict changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_GAP = 1e-12
"""Values nearer to each other than this, relatively, are not told apart: a detector's arithmetic may round so much."""


@dataclass(frozen=True)
class Limit:
    """A row is flagged iff its critical value is above.

    Attributes
    ----------
    value : float
        The limit.
    f1 : float
        With the labels it was found on.
    margin : float
        How far the two values next to the limit are apart, relatively: 0 to 1.
    """

    value: float
    f1: float
    margin: float


@dataclass(frozen=True)
class Ranked:
    """Critical values in descending order, with their labels: sorted once, judged for every fold."""

    values: FloatArray
    labels: IntArray
    folds: IntArray | None
    lowest: float

    @classmethod
    def of(cls, values: FloatArray, labels: IntArray, folds: IntArray | None, lowest: float) -> "Ranked":
        """Sort.

        Parameters
        ----------
        values : ndarray of shape (n,), float64
            Critical values: a row is flagged iff the limit is below. ``-inf`` is never flagged.
        labels : ndarray of shape (n,), int64
            1 = anomaly, 0 = not.
        folds : ndarray of shape (n,), int64, or None
            Which fold each row is held out in.
        lowest : float
            The smallest limit there can be.
        """
        order = np.argsort(-values, kind="stable")
        return cls(values[order], labels[order], None if folds is None else folds[order], lowest)

    def best(self) -> Limit:
        """The limit of highest F1 on all labels; of equally good ones the highest."""
        return _best(self.values, self.labels, self.lowest)

    def held_out(self) -> tuple["HeldOut", ...]:
        """Verdicts on held-out rows, fold by fold, each by the limit that is best on the other folds."""
        if self.folds is None:
            return ()
        outcome = []
        for fold in np.unique(self.folds):
            inside = self.folds == fold
            limit = _best(self.values[~inside], self.labels[~inside], self.lowest)
            labels, flagged = self.labels[inside], self.values[inside] > limit.value
            outcome.append(HeldOut(limit.f1, int(labels[flagged].sum()), int(flagged.sum()), int(labels.sum())))
        return tuple(outcome)


@dataclass(frozen=True)
class HeldOut:
    """One fold's rows, judged by a limit that was chosen without them.

    Attributes
    ----------
    f1 : float
        Of the limit, on the other folds.
    n_found, n_flagged, n_anomalies : int
        Of the fold's rows: flagged rightly, flagged, labelled.
    """

    f1: float
    n_found: int
    n_flagged: int
    n_anomalies: int


def held_out_f1(folds: Sequence[HeldOut]) -> float | None:
    """The F1 of verdicts on held-out rows, all folds together.

    Parameters
    ----------
    folds : sequence of HeldOut
        Of `Ranked.held_out`.

    Returns
    -------
    float or None
        None where there are no folds.
    """
    if not folds:
        return None
    both = sum(fold.n_flagged + fold.n_anomalies for fold in folds)
    return 2.0 * sum(fold.n_found for fold in folds) / both if both else 0.0


def f1(labels: IntArray, flagged: npt.NDArray[np.bool_]) -> float:
    """The F1 of verdicts.

    Parameters
    ----------
    labels : ndarray of shape (n,), int64
        1 = anomaly, 0 = not.
    flagged : ndarray of shape (n,), bool
        The verdicts.

    Returns
    -------
    float
        0 where nothing is flagged rightly.
    """
    both = int(labels.sum()) + int(flagged.sum())
    return 2.0 * int(labels[flagged].sum()) / both if both else 0.0


def _best(values: FloatArray, labels: IntArray, lowest: float) -> Limit:
    # One more value at the end: below it nothing can be told apart.
    padded = np.append(np.maximum(values, lowest), lowest)
    upper, lower = padded[:-1], padded[1:]
    with np.errstate(invalid="ignore"):  # inf - inf
        apart = upper - lower > _GAP * np.maximum(np.abs(upper), np.abs(lower))
    apart |= np.isinf(upper) & np.isfinite(lower)
    ends = np.flatnonzero(apart)
    if ends.size == 0 or not labels.any():
        return Limit(_above(float(padded[0])), 0.0, 0.0)
    scores = 2.0 * np.cumsum(labels)[ends] / (ends + 1 + labels.sum())
    best = int(np.argmax(scores))
    below, above = float(lower[ends[best]]), float(upper[ends[best]])
    margin = 1.0 if np.isinf(above) else (above - below) / max(abs(above), abs(below))
    return Limit(_between(below, above), float(scores[best]), margin)


def _between(lower: float, upper: float) -> float:
    return _above(lower) if np.isinf(upper) else lower + 0.5 * (upper - lower)


def _above(value: float) -> float:
    return value + max(1e-9, 1e-9 * abs(value)) if np.isfinite(value) else float(np.finfo(np.float64).max)
