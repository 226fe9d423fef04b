"""An order of rows in which neighbours follow each other: cells of up to 64 rows lie in small boxes.

Rows are split in two at the middle of their widest feature, again and again, where the number of rows before is a
multiple of sixteen. An order is no result: features are rounded to 32 bits here.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel
from detectors.lanes import larger, load8, pick, read, smaller, store

FloatArray = npt.NDArray[np.float64]
NarrowArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

RECORD = 8
"""Numbers that make a row's record: four features, and its place among the rows; the rest is unused."""

GROUP = 16
"""Rows of which a cell is a multiple, but the last one: as many as lie side by side in a kernel."""

CELL = 64
"""Rows at most that are a cell: with fewer there are more boxes to look at, with more they are larger."""

MOST_ROWS = 2**16
"""Rows at most that are put in order: their records fit the caches, and a place fits 32 bits of a float."""

EDGE = 6.0
"""Where rows are moved to that lie further out; centres lie within 1."""

_SHALLOWEST = 8  # a split leaves an eighth of the rows on each side, so there are no more than 64 within each other
_MOST_WAITING = 2 * 64
_MOST_TRIES = 32  # more than rows in any ordinary order need; whatever is left then makes boxes larger, and no harm


@kernel
def sort(rows: FloatArray, scale: float, middle: FloatArray, unit: float) -> tuple[NarrowArray, IntArray]:
    """Put rows in order.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features), float64
        At most `MOST_ROWS`, of at most four features.
    scale, middle, unit
        Fields of `inne_narrow.NarrowBalls`.

    Returns
    -------
    records : ndarray of shape (RECORD * n_rows,), float32
        In order.
    cells : ndarray of shape (n_cells + 1,), int64
        Where cells begin, as numbers of groups.
    """
    n_rows = len(rows)
    records = np.zeros(RECORD * n_rows, np.float32)
    for row in range(n_rows):
        for feature in range(rows.shape[1]):
            value = (rows[row, feature] * scale - middle[feature]) * unit
            records[RECORD * row + feature] = min(max(value, -EDGE), EDGE)
        records[RECORD * row + 4] = row
    cells, n_cells = np.empty(n_rows // GROUP + 2, np.int64), 0
    starts, stops, waiting = np.empty(_MOST_WAITING, np.int64), np.empty(_MOST_WAITING, np.int64), 1
    starts[0], stops[0] = 0, n_rows
    while waiting:
        waiting -= 1
        start, stop = starts[waiting], stops[waiting]
        if stop - start <= CELL:
            cells[n_cells] = start // GROUP
            n_cells += 1
        else:
            between = _split(records, start, stop)
            starts[waiting], stops[waiting] = between, stop
            starts[waiting + 1], stops[waiting + 1] = start, between
            waiting += 2
    cells[n_cells] = -(-n_rows // GROUP)
    return records, cells[: n_cells + 1]


@kernel
def _split(records: NarrowArray, start: int, stop: int) -> int:
    """Split some rows near the middle of their widest feature; where the second part begins, in whole groups."""
    feature, low, high = _widest(records, start, stop)
    size, middle = stop - start, (start + stop) // 2
    if low < high:
        middle = _partition(records, start, stop, feature, (low + high) * np.float32(0.5))
    before = min(max(middle - start, size // _SHALLOWEST), size - size // _SHALLOWEST)
    before = min(max((before + GROUP // 2) // GROUP * GROUP, GROUP), (size - 1) // GROUP * GROUP)
    _select(records, start, stop, feature, middle, start + before)
    return start + before


@kernel
def _widest(records: NarrowArray, start: int, stop: int) -> tuple[int, np.float32, np.float32]:
    """The feature in which some rows differ most, and between what."""
    lows = highs = load8(records, RECORD * start)
    for row in range(start + 1, stop):
        values = load8(records, RECORD * row)
        lows, highs = smaller(lows, values), larger(highs, values)
    widths, chosen = highs - lows, 0
    for feature in range(1, 4):
        if pick(widths, feature) > pick(widths, chosen):
            chosen = feature
    return chosen, pick(lows, chosen), pick(highs, chosen)


@kernel
def _partition(records: NarrowArray, start: int, stop: int, feature: int, pivot: np.float32) -> int:
    """Put rows first whose feature is at most the pivot; where the others begin. Nothing here is foretold wrongly."""
    left = start
    for row in range(start, stop):
        this, other = load8(records, RECORD * row), load8(records, RECORD * left)
        inside = read(records, RECORD * row + feature) <= pivot
        store(records, RECORD * row, other)
        store(records, RECORD * left, this)
        left += inside
    return left


@kernel
def _select(records: NarrowArray, start: int, stop: int, feature: int, middle: int, wanted: int) -> None:
    """Go on until the rows before `wanted` are those whose feature is smallest; they are split at `middle` already."""
    for _ in range(_MOST_TRIES):
        if middle == wanted:
            break
        if middle < wanted:
            start = middle
        else:
            stop = middle
        pivot = _guess(records, start, stop, feature, wanted)
        middle = _partition(records, start, stop, feature, pivot)
        if middle == stop:  # none is larger: those that are smaller come first
            middle = _partition(records, start, stop, feature, np.nextafter(pivot, -np.float32(np.inf)))
            if middle < wanted:  # the others are all alike
                break


@kernel
def _guess(records: NarrowArray, start: int, stop: int, feature: int, wanted: int) -> Any:
    """Some row's value of a feature: a small one if few rows are wanted, a large one if few are not."""
    size = stop - start
    one = records[RECORD * (start + size // 4) + feature]
    two = records[RECORD * (start + size // 2) + feature]
    three = records[RECORD * (stop - 1 - size // 4) + feature]
    if 4 * (wanted - start) < size:
        return min(one, two, three)
    if 4 * (stop - wanted) < size:
        return max(one, two, three)
    return max(min(one, two), min(max(one, two), three))
