"""Which detector suits a series, told from the series alone: a short list of questions, the first yes decides.

The limits were set on generated series with planted anomalies of six kinds and checked on public ones; see
``benchmarks/sequences.py`` and docs/sequences.md.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.periods import autocorrelation, period
from detectors.times import time_order
from training.features import Features

FloatArray = npt.NDArray[np.float64]

AUTO = "auto"
"""What is asked for instead of a detector."""

FEW_VALUES = 100
"""Below as many, windows cannot be compared with each other."""

SPIKES = 3
"""Rows that leap away and back, from which on single values are what is wrong with a series."""

LEAP = 6.0
"""Interquartile ranges of all changes beyond their third quartile: as far as one leaps."""

MEMORY = 0.3
"""Of a series whose rows depend on those before them, the least autocorrelation at lag 1."""

TREND = 0.5
"""Of a series that drifts, the least share of the variance that a straight line explains."""


class Choice(NamedTuple):
    """A detector's key in the registry, and why it was chosen, in a sentence for people."""

    detector: str
    reason: str


def is_auto(name: str) -> bool:
    """Whether a name leaves the choice to the data.

    Parameters
    ----------
    name : str
        In any case.

    Returns
    -------
    bool
        True for "auto".
    """
    return name.strip().lower() == AUTO


def choose(features: Features) -> Choice:
    """Choose a detector for one or more series, without labels.

    Parameters
    ----------
    features : Features
        The series; with times in any order.

    Returns
    -------
    Choice
        What suits most columns; the reason is that of the first of these.
    """
    order = None if features.times is None else time_order(features.times)
    rows = features.values if order is None else features.values[order.kept]
    choices = [suited(column[~np.isnan(column)]) for column in rows.T]
    (detector, count), *_ = Counter(choice.detector for choice in choices).most_common(1)
    column = next(index for index, choice in enumerate(choices) if choice.detector == detector)
    reason = choices[column].reason
    if len(choices) > 1:
        reason += f" (column {features.names[column]!r}; {count} of {len(choices)} columns are of this kind)"
    return Choice(detector, reason)


def suited(values: FloatArray) -> Choice:
    """Choose a detector for the values of one series.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        In time order, without NaN.

    Returns
    -------
    Choice
        With a reason that has the figures in it.
    """
    if len(values) < FEW_VALUES:
        return Choice("iqr", f"{len(values)} values are too few to compare windows with each other")
    low, high = np.quantile(values, [0.25, 0.75])
    if low >= high:
        return Choice("quantile", "half of the values are the same, so quartiles say nothing of the others")
    values = values / np.abs(values).max()  # so that no difference overflows
    if (spikes := leaps(values)) >= SPIKES:
        return Choice("persist", f"{spikes} single values leap away from the ones before and after them")
    memory, length = float(autocorrelation(values, 1)[1]), period(values)
    if memory < MEMORY and length is None:
        return Choice("iqr", f"values do not depend on those before them (autocorrelation {memory:.2f}, no period)")
    if (explained := trend(values)) >= TREND:
        return Choice("poly", f"a straight trend explains {explained:.0%} of the variance, so only nearby rows compare")
    season = "no period" if length is None else f"a period of {length} rows"
    return Choice(
        "subpca", f"values depend on those before them (autocorrelation {memory:.2f}, {season}), so windows compare"
    )


def leaps(values: FloatArray) -> int:
    """Count the values far away from both neighbours, on the same side.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        In time order.

    Returns
    -------
    int
        Those farther than Q3 + `LEAP` IQR of the absolute changes.
    """
    changes = np.diff(values)
    sizes = np.abs(changes)
    first, third = np.quantile(sizes, [0.25, 0.75])
    there, back = changes[:-1], changes[1:]
    away = np.where((there > 0) != (back > 0), np.minimum(sizes[:-1], sizes[1:]), 0.0)
    return int(np.count_nonzero(away > third + LEAP * (third - first)))


def trend(values: FloatArray) -> float:
    """How much of the variance a straight line explains.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        In time order, not all the same.

    Returns
    -------
    float
        The squared correlation with the row number.
    """
    return float(np.corrcoef(np.arange(len(values)), values)[0, 1] ** 2)
