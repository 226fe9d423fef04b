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
_CHUNK = 64


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
def _gather(values: FloatArray, bounds: FloatArray, between: FloatArray, counts: npt.NDArray[np.int64]) -> int:
    """Gather, for each pair of bounds, what is above the low one and at most the high one.

    Counts are of what is below the low one, at most the low one, and gathered (-1 if there is no room for it).
    Returns how many values are numbers.
    """
    numbers = 0
    for start in range(0, values.shape[0], _CHUNK):
        chunk = values[start : start + _CHUNK]
        for value in chunk:
            numbers += not math.isnan(value)
        for pair in range(bounds.shape[0]):
            low, high = bounds[pair, 0], bounds[pair, 1]
            below = to_low = to_high = 0
            for value in chunk:
                below += value < low
                to_low += value <= low
                to_high += value <= high
            counts[pair, 0] += below
            counts[pair, 1] += to_low
            found = counts[pair, 2]
            if to_high == to_low or found < 0:
                continue
            if found + chunk.shape[0] > between.shape[1]:
                counts[pair, 2] = -1
                continue
            for value in chunk:
                between[pair, found] = value  # stays unless the next one overwrites it; a branch would be mispredicted
                found += (value > low) & (value <= high)
            counts[pair, 2] = found
    return numbers


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
    if len(values) < _LONG:
        return _by_partition(values[~np.isnan(values)], shares)
    found = _by_gathering(values, shares)
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


def _by_gathering(values: FloatArray, shares: Sequence[float]) -> list[float | None]:
    """The quantiles, None for those that are not where the sample says."""
    sample = np.sort(values[np.random.default_rng(0).integers(0, len(values), _SAMPLE)])
    sample = sample[: int(np.searchsorted(sample, np.nan))]
    if len(sample) < _SAMPLE // 64:
        return [None] * len(shares)
    bounds = np.array([_bounds(sample, share) for share in shares])
    between = np.empty((len(shares), len(values) // 8))
    counts = np.zeros((len(shares), 3), np.int64)
    count = int(_gather(values, bounds, between, counts))
    found: list[float | None] = []
    for share, (low, _), gathered, (below, to_low, size) in zip(shares, bounds, between, counts.tolist(), strict=True):
        rank, weight = _rank(share, count)
        if size < 0 or rank < below or rank + 1 >= to_low + size:
            found.append(None)
            continue
        places = [
            rank + step - to_low for step in (0, 1)
        ]  # among the gathered ones; below 0, the value is the low bound
        inside = sorted({place for place in places if place >= 0})
        parted = np.partition(gathered[:size], inside) if inside else gathered
        pair = [float(low if place < 0 else parted[place]) for place in places]
        found.append(_interpolate(pair[0], pair[1], weight))
    return found


def _bounds(sample: FloatArray, share: float) -> tuple[float, float]:
    """Between which values of a sorted sample a quantile is but for one column in millions."""
    size = len(sample)
    slack = 5.0 * math.sqrt(share * (1.0 - share) * size) + 10.0  # standard deviations of a rank in the sample
    start, stop = math.floor(share * size - slack), math.ceil(share * size + slack)
    return (
        float(sample[start]) if start >= 0 else -math.inf,
        float(sample[stop]) if stop < size else math.inf,
    )
