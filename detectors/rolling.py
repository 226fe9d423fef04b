"""Median and mean of the rows before each row, NaN skipped.

A window is a number of rows, or a span of time closed on the left: the rows ``j < row`` with
``stamps[row] - stamps[j] <= span``. Both results depend on the values in the window alone (but for the last bit of a
mean whose values differ by more than 2**45), so a row gets the same with more or less before it.
"""

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_SMALL = 384  # up to here moving sorted values costs less than two heaps
_SAFE = 1e280  # sums of what is smaller do not overflow
_ROWS = np.empty(0, np.int64)


def rolling_median(values: FloatArray, stamps: IntArray | None, window: int, min_periods: int) -> FloatArray:
    """Median of the window before each row.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        In time order; NaN is missing.
    stamps : ndarray of shape (n,), int64, or None
        Increasing times; None for a window in rows.
    window : int
        Rows, or the span in the unit of the stamps.
    min_periods : int
        A window with fewer numbers gives NaN.

    Returns
    -------
    ndarray of shape (n,), float64
        Medians; of an even count, the mean of the middle two.

    Examples
    --------
    >>> rolling_median(np.array([1.0, 5.0, 3.0, 9.0]), None, window=3, min_periods=1)
    array([nan,  1.,  3.,  3.])
    """
    medians = np.empty(len(values))
    times, capacity = _window(stamps, window, len(values))
    if capacity <= _SMALL:
        _median_by_sorting(values, times, window, min_periods, np.empty(capacity + 1), medians)
    else:
        heaps = np.empty((2, capacity + 1), np.int64)
        places = np.empty(1 << capacity.bit_length(), np.int64)
        _median_by_heaps(values, times, window, min_periods, heaps, places, medians)
    return medians


def rolling_mean(values: FloatArray, stamps: IntArray | None, window: int, min_periods: int) -> FloatArray:
    """Mean of the window before each row: the exact one rounded, as nothing is ever subtracted from a running sum.

    Parameters
    ----------
    values, stamps, window, min_periods
        As for `rolling_median`.

    Returns
    -------
    ndarray of shape (n,), float64
        Means.

    Examples
    --------
    >>> rolling_mean(np.array([1.0, 5.0, 3.0, 9.0]), None, window=3, min_periods=2)
    array([nan, nan,  3.,  3.])
    """
    means = np.empty(len(values))
    times, capacity = _window(stamps, window, len(values))
    suffixes = np.empty((2, capacity + 1))
    if not _means(values, times, window, min_periods, 1.0, suffixes, means):
        _means(values, times, window, min_periods, 2.0**-128, suffixes, means)
    return means


def _window(stamps: IntArray | None, window: int, n_rows: int) -> tuple[IntArray, int]:
    """The stamps for a kernel (empty for rows), and how many rows a window holds at most."""
    if stamps is None:
        return _ROWS, max(1, min(window, n_rows))
    return stamps, max(1, int(_longest_window(stamps, window)))


@kernel
def _expired(stamps: IntArray, start: int, row: int, window: int) -> bool:
    if stamps.shape[0] == 0:
        return row - start > window
    # unsigned, as the distance between two stamps may be beyond int64
    return bool(np.uint64(stamps[row]) - np.uint64(stamps[start]) > np.uint64(window))


@kernel
def _longest_window(stamps: IntArray, window: int) -> int:
    longest = start = 0
    for row in range(stamps.shape[0]):
        while start < row and _expired(stamps, start, row, window):
            start += 1
        longest = max(longest, row - start)
    return longest


@kernel
def _middle(one: float, other: float) -> float:
    middle = (one + other) / 2.0
    return middle if np.isfinite(middle) else one / 2.0 + other / 2.0


@kernel
def _position(ordered: FloatArray, held: int, value: float) -> int:
    low, high = 0, held
    while low < high:
        half = (low + high) >> 1
        if ordered[half] < value:
            low = half + 1
        else:
            high = half
    return low


@kernel
def _replace(ordered: FloatArray, held: int, gone: float, fresh: float) -> None:
    place = _position(ordered, held, gone)
    if fresh >= gone:
        while place + 1 < held and ordered[place + 1] < fresh:
            ordered[place] = ordered[place + 1]
            place += 1
    else:
        while place > 0 and ordered[place - 1] > fresh:
            ordered[place] = ordered[place - 1]
            place -= 1
    ordered[place] = fresh


@kernel
def _delete(ordered: FloatArray, held: int, gone: float) -> None:
    for place in range(_position(ordered, held, gone), held - 1):
        ordered[place] = ordered[place + 1]


@kernel
def _insert(ordered: FloatArray, held: int, fresh: float) -> None:
    place = held
    while place > 0 and ordered[place - 1] > fresh:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = fresh


@kernel
def _middle_of(ordered: FloatArray, held: int) -> float:
    half = held >> 1
    return ordered[half] if held & 1 else _middle(ordered[half - 1], ordered[half])


@kernel
def _median_by_sorting(
    values: FloatArray, stamps: IntArray, window: int, least: int, ordered: FloatArray, medians: FloatArray
) -> None:
    held = start = 0
    for row in range(values.shape[0]):
        fresh = values[row - 1] if row > 0 else np.nan
        while start < row and _expired(stamps, start, row, window):
            gone = values[start]
            start += 1
            if start == row:  # the row just before is too old itself
                fresh = np.nan
            elif np.isnan(gone):
                continue
            elif not np.isnan(fresh):
                _replace(ordered, held, gone, fresh)
                fresh = np.nan
            else:
                _delete(ordered, held, gone)
                held -= 1
        if start == row:
            held = 0
        if not np.isnan(fresh):
            _insert(ordered, held, fresh)
            held += 1
        medians[row] = _middle_of(ordered, held) if held >= max(least, 1) else np.nan


@kernel
def _sift(values: FloatArray, heap: IntArray, size: int, side: int, index: int, places: IntArray) -> None:
    """Move the row at an index of a heap up or down to where it belongs."""
    sign = 1.0 if side == 1 else -1.0  # the lower half has its largest value on top, the upper half its smallest
    mask = places.shape[0] - 1
    row = heap[index]
    key = sign * values[row]
    while index > 0 and sign * values[heap[(index - 1) >> 1]] > key:
        moved = heap[(index - 1) >> 1]
        heap[index] = moved
        places[moved & mask] = 2 * index + side
        index = (index - 1) >> 1
    while 2 * index + 1 < size:
        child = 2 * index + 1
        if child + 1 < size and sign * values[heap[child + 1]] < sign * values[heap[child]]:
            child += 1
        if sign * values[heap[child]] >= key:
            break
        moved = heap[child]
        heap[index] = moved
        places[moved & mask] = 2 * index + side
        index = child
    heap[index] = row
    places[row & mask] = 2 * index + side


@kernel
def _take_out(values: FloatArray, heaps: IntArray, sizes: IntArray, row: int, places: IntArray) -> None:
    side, index = places[row & (places.shape[0] - 1)] & 1, places[row & (places.shape[0] - 1)] >> 1
    sizes[side] -= 1
    if index < sizes[side]:
        heaps[side, index] = heaps[side, sizes[side]]
        _sift(values, heaps[side], sizes[side], side, index, places)


@kernel
def _put_in(values: FloatArray, heaps: IntArray, sizes: IntArray, side: int, row: int, places: IntArray) -> None:
    heaps[side, sizes[side]] = row
    sizes[side] += 1
    _sift(values, heaps[side], sizes[side], side, sizes[side] - 1, places)


@kernel
def _median_by_heaps(
    values: FloatArray,
    stamps: IntArray,
    window: int,
    least: int,
    heaps: IntArray,
    places: IntArray,
    medians: FloatArray,
) -> None:
    """Two heaps of rows, the lower half as large as the upper or one larger; `places` finds a row in them."""
    sizes = np.zeros(2, np.int64)
    start = 0
    for row in range(values.shape[0]):
        while start < row and _expired(stamps, start, row, window):
            if start < row - 1 and not np.isnan(values[start]):
                _take_out(values, heaps, sizes, start, places)
            start += 1
        if start < row and not np.isnan(values[row - 1]):
            above = sizes[0] > 0 and values[row - 1] > values[heaps[0, 0]]
            above = above or (sizes[0] == 0 and sizes[1] > 0 and values[row - 1] > values[heaps[1, 0]])
            _put_in(values, heaps, sizes, 1 if above else 0, row - 1, places)
        while sizes[0] > sizes[1] + 1 or sizes[1] > sizes[0]:
            full = 0 if sizes[0] > sizes[1] else 1
            moved = heaps[full, 0]
            _take_out(values, heaps, sizes, moved, places)
            _put_in(values, heaps, sizes, 1 - full, moved, places)
        held = sizes[0] + sizes[1]
        if held < least or held == 0:
            medians[row] = np.nan
        elif held & 1:
            medians[row] = values[heaps[0, 0]]
        else:
            medians[row] = _middle(values[heaps[0, 0]], values[heaps[1, 0]])


@kernel
def _mean_of(high: float, low: float, count: int) -> float:
    """(high + low) / count, rounded once; for |high| that splitting does not overflow."""
    quotient = high / count
    split = 134217729.0 * quotient
    top = split - (split - quotient)
    product = quotient * count
    # a count has fewer than 2**27 rows in it, so top * count and the rest are exact
    rest = (top * count - product) + (quotient - top) * count
    return quotient + ((high - product) - rest + low) / count


@kernel
def _means(
    values: FloatArray,
    stamps: IntArray,
    window: int,
    least: int,
    scale: float,
    suffixes: FloatArray,
    means: FloatArray,
) -> bool:
    """Two stacks of sums in double-double: of each row up to `middle`, and of all rows since.

    False if a value is so large that the sums might overflow: then it wants a smaller scale.
    """
    count = start = middle = base = 0
    high = low = 0.0
    for row in range(values.shape[0]):
        if row > 0:
            value = values[row - 1] * scale
            if not np.isnan(value):
                if abs(value) > _SAFE:
                    return False
                count += 1
                total = high + value
                part = total - high
                low += (high - (total - part)) + (value - part)
                high = total
        while start < row and _expired(stamps, start, row, window):
            count -= not np.isnan(values[start])
            start += 1
        if start >= middle:  # the first stack is used up: turn the second into it
            base, middle = start, row
            high = low = 0.0
            for back in range(row - 1, start - 1, -1):
                value = values[back] * scale
                if not np.isnan(value):
                    total = high + value
                    part = total - high
                    low += (high - (total - part)) + (value - part)
                    high = total
                suffixes[0, back - base] = high
                suffixes[1, back - base] = low
            high = low = 0.0
        if count < least or count == 0:
            means[row] = np.nan
            continue
        rest_high = suffixes[0, start - base] if start < middle else 0.0
        rest_low = suffixes[1, start - base] if start < middle else 0.0
        total = rest_high + high
        part = total - rest_high
        error = (rest_high - (total - part)) + (high - part) + (rest_low + low)
        upper = total + error
        means[row] = _mean_of(upper, error - (upper - total), count) / scale
    return True
