"""Quantiles by selection: as pandas and numpy interpolate them, NaN skipped, in one pass over long columns.

A sample says between which two values a quantile must lie; one pass counts what is below and gathers what is between.
The count tells whether the sample was right, so the result is exact; where it was not, the whole column is partitioned.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel

FloatArray = npt.NDArray[np.float64]

_LONG = 100_000
_SAMPLE = 1 << 16
_CHUNK = 1024


@kernel
def _count_numbers(values: FloatArray) -> int:
    count = 0
    for value in values:
        count += not math.isnan(value)
    return count


@kernel
def has_number(values: FloatArray) -> bool:
    """Whether not all is NaN.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        A column.

    Returns
    -------
    bool
        True if there is a number.
    """
    for value in values:  # noqa: SIM110
        if not math.isnan(value):
            return True
    return False


@kernel
def _gather_between(
    values: FloatArray, low: float, high: float, between: FloatArray, counts: npt.NDArray[np.int64]
) -> None:
    """Gather what is strictly between; count below, at low, between (-1 if there may be no room for it) and at high."""
    below = at_low = at_high = found = 0
    for start in range(0, values.shape[0], _CHUNK):
        chunk = values[start : start + _CHUNK]
        if found + chunk.shape[0] > between.shape[0]:
            counts[2] = -1
            return
        for value in chunk:
            below += value < low
            at_low += value == low
            at_high += value == high
        for value in chunk:
            between[found] = value  # kept only if the next one does not overwrite it: a branch would be mispredicted
            found += (value > low) & (value < high)
    counts[0], counts[1], counts[2], counts[3] = below, at_low, found, at_high


def quantiles(values: FloatArray, shares: Sequence[float]) -> list[float]:
    """Linearly interpolated quantiles of the numbers among the values.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        NaN is skipped; at least one is a number.
    shares : sequence of float
        In [0, 1].

    Returns
    -------
    list of float
        One for each share, as ``pandas.Series.quantile`` computes them.

    Examples
    --------
    >>> quantiles(np.array([4.0, 1.0, np.nan, 2.0]), [0.5, 0.75])
    [2.0, 3.0]
    """
    count = int(_count_numbers(values))
    if len(values) < _LONG:
        numbers = values[~np.isnan(values)] if count < len(values) else values
        return _by_partition(numbers, shares)
    sample = np.sort(values[np.random.default_rng(0).integers(0, len(values), _SAMPLE)])
    sample = sample[: int(_count_numbers(sample))]
    found = [_by_gathering(values, count, share, sample) for share in shares]
    missed = [share for share, quantile in zip(shares, found, strict=True) if quantile is None]
    exact = iter(_by_partition(values[~np.isnan(values)], missed) if missed else ())
    return [next(exact) if quantile is None else quantile for quantile in found]


def _rank(share: float, count: int) -> tuple[int, float]:
    position = (count - 1) * (share * 100.0 / 100.0)  # pandas passes percents on to numpy
    rank = min(int(position), max(count - 2, 0))
    return rank, position - rank


def _interpolate(low: float, high: float, weight: float) -> float:
    if low == high or weight in (0.0, 1.0):
        return low if weight == 0.0 else high
    step = high - low
    if math.isinf(step):  # too far apart for a float
        return low * (1.0 - weight) + high * weight
    return low + step * weight if weight < 0.5 else high - step * (1.0 - weight)


def _by_partition(numbers: FloatArray, shares: Sequence[float]) -> list[float]:
    last = len(numbers) - 1
    ranks = [_rank(share, len(numbers)) for share in shares]
    kth = sorted({min(rank + step, last) for rank, _ in ranks for step in (0, 1)})
    parted = np.partition(numbers, kth)
    return [_interpolate(float(parted[rank]), float(parted[min(rank + 1, last)]), weight) for rank, weight in ranks]


def _by_gathering(values: FloatArray, count: int, share: float, sample: FloatArray) -> float | None:
    size = len(sample)
    if size < _SAMPLE // 64:
        return None
    slack = 5.0 * math.sqrt(share * (1.0 - share) * size) + 10.0  # five standard deviations of a rank in the sample
    start, stop = math.floor(share * size - slack), math.ceil(share * size + slack)
    low = float(sample[start]) if start >= 0 else -math.inf
    high = float(sample[stop]) if stop < size else math.inf
    between = np.empty(len(values) // 8)
    counts = np.zeros(4, np.int64)
    _gather_between(values, low, high, between, counts)
    below, at_low, inside, at_high = counts.tolist()
    if low == high:
        at_high = 0
    rank, weight = _rank(share, count)
    first = rank - below
    if inside < 0 or first < 0 or first + 1 >= at_low + inside + at_high:
        return None
    wanted = [min(max(step + first - at_low, -1), inside) for step in (0, 1)]
    parted = (
        np.partition(between[:inside], [max(min(step, inside - 1), 0) for step in wanted]) if inside else between[:0]
    )
    pair = [low if step < 0 else high if step >= inside else float(parted[step]) for step in wanted]
    return _interpolate(pair[0], pair[1], weight)
