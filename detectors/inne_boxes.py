"""iNNE's scores of rows of at most four features: most balls are out of reach of rows that are near each other.

Rows are put in an order in which neighbours follow each other (`inne_order`). Balls are compared with the boxes around
cells of up to 64 rows, sixteen balls at a time, and with the rows of the cells that they reach, sixteen rows at a time.

Whether it covers them is told from distances in 32 bits, where that is certain. They are off by less than a known
bound; only a row whose verdict hangs on less is looked at again, in 64 bits and as in `inne_kernels`. So the scores are
the same bits. The bound: in units in which centres lie within 1, a feature of 32 bits is off by at most u = 2**-24 of
itself, a difference of a row and a centre that are d apart by 2u(1 + d), the square of a distance of four of them by
u(8d + 9.1d²) + 16u², four roundings of the sum included. `prepare` takes twice that.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.inne_kernels import FAR, Balls
from detectors.inne_order import EDGE, GROUP, RECORD
from detectors.kernels import kernel
from detectors.lanes import (
    LANES,
    above_zero,
    absolute,
    as_ints,
    at_most,
    bits,
    choose,
    fill,
    fused,
    larger,
    load,
    load8,
    lowest,
    pick,
    signs,
    smaller,
    spread,
    store,
    upper_half,
)

FloatArray = npt.NDArray[np.float64]
NarrowArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
WordArray = npt.NDArray[np.int32]
BitArray = npt.NDArray[np.uint64]
HalfArray = npt.NDArray[np.uint16]

FEATURES = 4
"""Columns of the centres, padded."""

MOST_BALLS = 2**15 - 1
"""In a sample: a ball's rank fits the upper half of a word with a sign."""

_GROUPS = 64  # that are worked on together: bits of a number
_ROWS = GROUP * _GROUPS
_AT_ONCE = 4  # samples whose scores are added in one pass
_UNCOVERED = 0xFFFF  # what is kept of a row no ball covers: rank 0, and nothing in doubt
_HALF = 0x7FFF  # the lower half of what is kept, without its sign
_UNIT_ROUNDOFF = 2.0**-24
_BOX_SLACK = 2.0**-18  # 64 u: a box is measured by seven roundings of numbers below 8


class Boxed(NamedTuple):
    """What the kernel knows of the balls, those of a sample by ascending radius.

    In 32 bits, numbers are in units in which all centres lie within 1.

    Attributes
    ----------
    offsets, centres, squares, scale
        Fields of `inne_kernels.Balls`.
    columns : ndarray of shape (4, n_centres + LANES), float32
        Centres, transposed.
    reaches : ndarray of shape (n_centres + LANES,), float32
        Squared radii, larger by the bound; negative past the end.
    doubts : ndarray of shape (n_members,), int32
        How much less than its reach a squared distance has to be, to be certain, for all balls of a sample: the upper
        half of it as a float.
    tables : ndarray of shape (n_centres + n_members,), float64
        For each sample, the last one first, the score of a row that no ball covers, and those of its balls from the
        largest to the smallest.
    middle : ndarray of shape (4,), float64
        What is subtracted from features in units of the scale,
    unit : float
        and what the difference is multiplied by, a power of two.
    """

    offsets: IntArray
    centres: FloatArray
    squares: FloatArray
    scale: float
    columns: NarrowArray
    reaches: NarrowArray
    doubts: WordArray
    tables: FloatArray
    middle: FloatArray
    unit: float


def prepare(balls: Balls) -> Boxed:
    """Derive from the balls what the kernels need besides."""
    centres, n_centres = balls.centres, len(balls.centres)
    middle = centres.min(axis=0) / 2.0 + centres.max(axis=0) / 2.0
    centred = centres - middle
    unit = float(np.ldexp(1.0, min(-int(np.frexp(np.abs(centred).max())[1]), 500)))  # no square underflows by much
    columns = np.zeros((FEATURES, n_centres + LANES), np.float32)
    columns[:, :n_centres] = centred.T * unit
    radii = np.sqrt(balls.squares) * unit
    bounds = _UNIT_ROUNDOFF * (16.0 * radii + 28.0 * radii**2) + 128.0 * _UNIT_ROUNDOFF**2
    reaches = np.full(n_centres + LANES, -1.0, np.float32)
    reaches[:n_centres] = np.nextafter((radii**2 + bounds).astype(np.float32), np.float32(np.inf))
    doubts = np.maximum.reduceat(bounds, balls.offsets[:-1]) * (2.0 + 2.0**-10)
    tables = np.insert(balls.scores, balls.offsets[1:], 1.0)[::-1].copy()
    narrow = columns, reaches, doubts.astype(np.float32).view(np.int32) >> 16, tables
    return Boxed(balls.offsets, centres, balls.squares, balls.scale, *narrow, middle, unit)


@kernel
def score_rows(
    rows: FloatArray,
    records: NarrowArray,
    cells: IntArray,
    scores: FloatArray,
    offsets: IntArray,
    centres: FloatArray,
    squares: FloatArray,
    scale: float,
    columns: NarrowArray,
    reaches: NarrowArray,
    doubts: WordArray,
    tables: FloatArray,
    middle: FloatArray,
    unit: float,
) -> None:
    """Fill in the mean score of each row over all samples.

    `records` and `cells` are what `inne_order.sort` returns, the rest the fields of `Boxed`: to pass them one by one
    takes a microsecond less.
    """
    boxed = Boxed(offsets, centres, squares, scale, columns, reaches, doubts, tables, middle, unit)
    n_members, last = len(offsets) - 1, 0
    block, kept = _aligned(FEATURES * _ROWS).view(np.float32), _aligned(_AT_ONCE * _ROWS).reshape(_AT_ONCE, _ROWS)
    boxes, groups = np.empty(2 * FEATURES * _GROUPS, np.float32), np.empty((2, _GROUPS), np.int32)
    reached, exact = np.empty((2, len(reaches)), np.int32), np.zeros((FEATURES, _ROWS))
    totals = np.empty(_ROWS)
    while last < len(cells) - 1:
        first, last = last, last + 1
        while last < len(cells) - 1 and cells[last + 1] - cells[first] <= _GROUPS:
            last += 1
        start, stop, n_groups = GROUP * cells[first], min(GROUP * cells[last], len(rows)), cells[last] - cells[first]
        here, loaded = records[RECORD * start : RECORD * stop], np.uint64(0)
        _load_block(here, block)
        _set_boxes(here, cells[first : last + 1], boxes, groups)
        _find_reached(boxes, groups[:, : last - first], boxed, reached)
        totals[:] = 0.0
        for member in range(n_members):
            ranks = kept[member % _AT_ONCE]
            _cover(block, boxed, reached, member, n_groups, ranks)
            doubted = _in_doubt(ranks, n_groups, doubts[member])
            if doubted & ~loaded:
                _load_exact(rows, scale, here, doubted & ~loaded, exact)
                loaded |= doubted
            while doubted:
                _decide(exact, lowest(doubted), boxed, reached, member, ranks)
                doubted &= doubted - np.uint64(1)
            if (member + 1) % _AT_ONCE == 0:
                _add_four(kept, boxed, member + 1 - _AT_ONCE, totals[: stop - start])
        for member in range(n_members - n_members % _AT_ONCE, n_members):
            _add_one(kept, boxed, member, totals[: stop - start])
        for slot in range(stop - start):
            scores[int(here[RECORD * slot + FEATURES])] = totals[slot] / n_members


@kernel
def _aligned(size: int) -> WordArray:
    """Room for words from where a line of the cache begins: a register's worth of them lies in one line."""
    room = np.empty(size + 16, np.int32)
    first = -room.ctypes.data % 64 // 4
    return room[first : first + size]


@kernel
def _load_block(records: NarrowArray, block: NarrowArray) -> None:
    """Transpose the rows of each group; rows past the end are out of reach."""
    n_rows = len(records) // RECORD
    for slot in range(-(-n_rows // GROUP) * GROUP):
        place = FEATURES * (slot - slot % GROUP) + slot % GROUP
        for feature in range(FEATURES):
            block[place + GROUP * feature] = records[RECORD * slot + feature] if slot < n_rows else np.float32(EDGE)


@kernel
def _set_boxes(records: NarrowArray, cells: IntArray, boxes: NarrowArray, groups: WordArray) -> None:
    """Measure the box around each cell, never smaller than it is, and tell which groups are in it."""
    for cell in range(len(cells) - 1):
        first, last = cells[cell] - cells[0], cells[cell + 1] - cells[0]
        bits_of_groups = ((np.uint64(1) << np.uint64(last - first)) - np.uint64(1)) << np.uint64(first)
        groups[0, cell], groups[1, cell] = np.int32(bits_of_groups), np.int32(bits_of_groups >> np.uint64(32))
        lows = highs = load8(records, RECORD * GROUP * first)
        for row in range(GROUP * first + 1, min(GROUP * last, len(records) // RECORD)):
            values = load8(records, RECORD * row)
            lows, highs = smaller(lows, values), larger(highs, values)
        for feature in range(FEATURES):
            low, high = pick(lows, feature), pick(highs, feature)
            middle, place = (low + high) * np.float32(0.5), 2 * FEATURES * cell + feature
            boxes[place] = middle
            boxes[place + FEATURES] = max(high - middle, middle - low) + np.float32(_BOX_SLACK)


@kernel
def _find_reached(boxes: NarrowArray, groups: WordArray, boxed: Boxed, reached: WordArray) -> None:
    """Tell for every ball which groups it may reach, as bits, from the lowest."""
    c0, c1, c2, c3 = boxed.columns[0], boxed.columns[1], boxed.columns[2], boxed.columns[3]
    for first in range(0, len(boxed.reaches) - LANES, LANES):
        x0, x1, x2, x3 = load(c0, first), load(c1, first), load(c2, first), load(c3, first)
        reach, lower, upper = load(boxed.reaches, first), fill(np.int32(0)), fill(np.int32(0))
        for cell in range(groups.shape[1]):
            place = 2 * FEATURES * cell
            d0, d1 = _outside(x0, boxes, place), _outside(x1, boxes, place + 1)
            d2, d3 = _outside(x2, boxes, place + 2), _outside(x3, boxes, place + 3)
            inside = signs(fused(d3, d3, fused(d2, d2, fused(d1, d1, d0 * d0))) - reach)
            lower = lower | inside & spread(groups[0], cell)
            upper = upper | inside & spread(groups[1], cell)
        store(reached[0], first, lower)
        store(reached[1], first, upper)


@kernel
def _outside(values: Any, boxes: NarrowArray, place: int) -> Any:
    """How far values lie outside of a box."""
    return above_zero(absolute(values - spread(boxes, place)) - spread(boxes, place + FEATURES))


@kernel
def _groups(reached: WordArray, ball: int) -> np.uint64:
    """The groups that a ball may reach."""
    return np.uint64(np.uint32(reached[1, ball])) << np.uint64(32) | np.uint64(np.uint32(reached[0, ball]))


@kernel
def _cover(block: NarrowArray, boxed: Boxed, reached: WordArray, member: int, n_groups: int, ranks: WordArray) -> None:
    """Keep for each row the smallest of a sample's balls that may cover it: its rank, and by how much it does.

    The rank is the upper half of a word, larger for a smaller ball. The lower half is that of the negative float by
    which the squared distance is within reach, so that words are ordered by rank.
    """
    c0, c1, c2, c3 = boxed.columns[0], boxed.columns[1], boxed.columns[2], boxed.columns[3]
    begin, end = boxed.offsets[member], boxed.offsets[member + 1]
    for group in range(n_groups):
        store(ranks, GROUP * group, fill(np.int32(_UNCOVERED)))
    for ball in range(begin, end):
        groups, rank = _groups(reached, ball), fill(np.int32((end - ball) << 16 | _UNCOVERED))
        x0, x1, x2, x3 = spread(c0, ball), spread(c1, ball), spread(c2, ball), spread(c3, ball)
        reach = fill(-boxed.reaches[ball])
        while groups:
            slot = GROUP * lowest(groups)
            groups &= groups - np.uint64(1)
            place = FEATURES * slot
            d0, d1 = x0 - load(block, place), x1 - load(block, place + GROUP)
            d2, d3 = x2 - load(block, place + 2 * GROUP), x3 - load(block, place + 3 * GROUP)
            beyond = fused(d3, d3, fused(d2, d2, fused(d1, d1, fused(d0, d0, reach))))
            # Of a negative float the upper half fills the word with ones above it; else the word is small.
            word = upper_half(as_ints(beyond)) & rank
            store(ranks, slot, larger(load(ranks, slot), word))


@kernel
def _in_doubt(ranks: WordArray, n_groups: int, doubt: int) -> np.uint64:
    """In which groups some row is covered by so little that it may not be, as bits."""
    half, least = fill(np.int32(_HALF)), fill(np.int32(_HALF))
    for group in range(n_groups):
        least = smaller(least, load(ranks, GROUP * group) & half)
    doubted = np.uint64(0)
    if bits(at_most(least, fill(doubt))):
        for group in range(n_groups):
            some = bits(at_most(load(ranks, GROUP * group) & half, fill(doubt))) != 0
            doubted |= np.uint64(some) << np.uint64(group)
    return doubted


@kernel
def _load_exact(rows: FloatArray, scale: float, records: NarrowArray, groups: np.uint64, exact: FloatArray) -> None:
    """Transpose the rows of some groups in 64 bits."""
    while groups:
        first = GROUP * lowest(groups)
        groups &= groups - np.uint64(1)
        for slot in range(first, min(first + GROUP, len(records) // RECORD)):
            row = int(records[RECORD * slot + FEATURES])
            for feature in range(rows.shape[1]):
                exact[feature, slot] = min(max(rows[row, feature] * scale, -FAR), FAR)


@kernel
def _decide(exact: FloatArray, group: int, boxed: Boxed, reached: WordArray, member: int, ranks: WordArray) -> None:
    """Keep for each row of a group the smallest of a sample's balls that covers it."""
    centres, squares = boxed.centres.reshape(-1), boxed.squares
    begin, end = boxed.offsets[member], boxed.offsets[member + 1]
    first, chosen = GROUP * group, fill(np.int32(_UNCOVERED))
    x0, x1, x2, x3 = load(exact[0], first), load(exact[1], first), load(exact[2], first), load(exact[3], first)
    for ball in range(end - 1, begin - 1, -1):
        if _groups(reached, ball) >> np.uint64(group) & np.uint64(1):
            place = FEATURES * ball
            d0, d1 = x0 - spread(centres, place), x1 - spread(centres, place + 1)
            d2, d3 = x2 - spread(centres, place + 2), x3 - spread(centres, place + 3)
            covered = at_most(((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3, spread(squares, ball))
            chosen = choose(covered, fill(np.int32((end - ball) << 16)), chosen)
    store(ranks, first, chosen)


@kernel
def _add_four(kept: WordArray, boxed: Boxed, member: int, totals: FloatArray) -> None:
    """Add four samples' scores, one after the other."""
    t0, t1, t2, t3 = (
        _table(boxed, member),
        _table(boxed, member + 1),
        _table(boxed, member + 2),
        _table(boxed, member + 3),
    )
    k0, k1, k2, k3 = _halves(kept, 0), _halves(kept, 1), _halves(kept, 2), _halves(kept, 3)
    for slot in range(len(totals)):
        upper = 2 * slot + 1
        totals[slot] = (((totals[slot] + t0[k0[upper]]) + t1[k1[upper]]) + t2[k2[upper]]) + t3[k3[upper]]


@kernel
def _add_one(kept: WordArray, boxed: Boxed, member: int, totals: FloatArray) -> None:
    """Add one sample's scores."""
    table, halves = _table(boxed, member), _halves(kept, member % _AT_ONCE)
    for slot in range(len(totals)):
        totals[slot] += table[halves[2 * slot + 1]]


@kernel
def _table(boxed: Boxed, member: int) -> FloatArray:
    """A sample's scores by rank."""
    return boxed.tables[len(boxed.tables) - 1 - boxed.offsets[member + 1] - member :]


@kernel
def _halves(kept: WordArray, which: int) -> Any:
    """Words as halves: an upper one follows its lower one on all processors there are."""
    return kept[which].view(np.uint16)


@kernel
def score_few(
    rows: FloatArray,
    scores: FloatArray,
    offsets: IntArray,
    centres: FloatArray,
    squares: FloatArray,
    scale: float,
    columns: NarrowArray,
    reaches: NarrowArray,
    doubts: WordArray,
    tables: FloatArray,
    middle: FloatArray,
    unit: float,
) -> None:
    """Do what `score_rows` does one row at a time, each compared with sixteen balls at once."""
    boxed = Boxed(offsets, centres, squares, scale, columns, reaches, doubts, tables, middle, unit)
    n_members, n_features = len(offsets) - 1, rows.shape[1]
    near, row = np.zeros(len(reaches) // 64 + 2, np.uint64), np.zeros(FEATURES)
    for which in range(len(rows)):
        for feature in range(n_features):
            row[feature] = min(max(rows[which, feature] * scale, -FAR), FAR)
        _find_near(row, boxed, near.view(np.uint16))
        total = 0.0
        for member in range(n_members):
            total += _score(row, boxed, near, member)
        scores[which] = total / n_members


@kernel
def _find_near(row: FloatArray, boxed: Boxed, near: HalfArray) -> None:
    """Tell which balls may cover a row, as bits, sixteen balls a number."""
    c0, c1, c2, c3 = boxed.columns[0], boxed.columns[1], boxed.columns[2], boxed.columns[3]
    x0, x1, x2, x3 = (
        _narrowed(row, boxed, 0),
        _narrowed(row, boxed, 1),
        _narrowed(row, boxed, 2),
        _narrowed(row, boxed, 3),
    )
    for ball in range(0, len(boxed.squares), LANES):
        d0, d1, d2, d3 = load(c0, ball) - x0, load(c1, ball) - x1, load(c2, ball) - x2, load(c3, ball) - x3
        square = fused(d3, d3, fused(d2, d2, fused(d1, d1, d0 * d0)))
        near[ball // LANES] = bits(at_most(square, load(boxed.reaches, ball)))


@kernel
def _narrowed(row: FloatArray, boxed: Boxed, feature: int) -> Any:
    """A row's feature in 32 bits."""
    return fill(np.float32(min(max((row[feature] - boxed.middle[feature]) * boxed.unit, -EDGE), EDGE)))


@kernel
def _score(row: FloatArray, boxed: Boxed, near: BitArray, member: int) -> Any:
    """One sample's score of a row."""
    ball, end = boxed.offsets[member], boxed.offsets[member + 1]
    while ball < end:
        balls = near[ball // 64] >> np.uint64(ball % 64)
        if balls == 0:
            ball += 64 - ball % 64
            continue
        ball += lowest(balls)
        if ball < end and _covers(boxed, ball, row):
            return boxed.tables[len(boxed.tables) - 1 - member - ball]
        ball += 1
    return 1.0


@kernel
def _covers(boxed: Boxed, ball: int, row: FloatArray) -> bool:
    """Tell whether a ball covers a row."""
    d0, d1 = row[0] - boxed.centres[ball, 0], row[1] - boxed.centres[ball, 1]
    d2, d3 = row[2] - boxed.centres[ball, 2], row[3] - boxed.centres[ball, 3]
    return bool(((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3 <= boxed.squares[ball])
