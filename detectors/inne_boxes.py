"""iNNE's scores of rows of at most four features: most balls are out of reach of rows that are near each other.

Rows are put in an order in which neighbours follow each other (`inne_order`). A ball is compared with the boxes around
groups of sixteen rows, sixteen groups at a time, and with the rows of those groups that it reaches.

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
    negative,
    pick,
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


class Narrow(NamedTuple):
    """The balls in 32 bits, in units in which all centres lie within 1.

    Attributes
    ----------
    columns : ndarray of shape (4, n_centres + LANES), float32
        Centres, transposed.
    reaches : ndarray of shape (n_centres + LANES,), float32
        Squared radii, larger by the bound; negative past the end.
    doubts : ndarray of shape (n_members,), int32
        By how much less than its reach a squared distance has to be to be certain, for all balls of a sample: the
        upper half of it as a float.
    tables : ndarray of shape (n_centres + n_members,), float64
        For each sample the score of a row that no ball covers, then those of its balls from the largest to the
        smallest.
    middle : ndarray of shape (4,), float64
        What is subtracted from features in units of the scale,
    unit : float
        and what the difference is multiplied by, a power of two.
    """

    columns: NarrowArray
    reaches: NarrowArray
    doubts: WordArray
    tables: FloatArray
    middle: FloatArray
    unit: float


def prepare(balls: Balls) -> Narrow:
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
    tables = np.insert(balls.scores, balls.offsets[1:], 1.0)[::-1]
    return Narrow(columns, reaches, doubts.astype(np.float32).view(np.int32) >> 16, tables, middle, unit)


@kernel
def score_rows(
    rows: FloatArray,
    records: NarrowArray,
    cells: IntArray,
    balls: Balls,
    narrow: Narrow,
    scores: FloatArray,
) -> None:
    """Fill in the mean score of each row over all samples; `records` and `cells` are what `inne_order.sort` returns."""
    offsets, n_members = balls.offsets, len(balls.offsets) - 1
    block, boxes = (
        np.empty(GROUP * FEATURES * _GROUPS, np.float32),
        np.zeros((2 * FEATURES, _GROUPS + LANES), np.float32),
    )
    exact, reached = np.zeros((FEATURES, _ROWS)), np.empty(len(balls.squares), np.uint64)
    kept, totals = np.empty((_AT_ONCE, _ROWS), np.int32), np.empty(_ROWS)
    last = 0
    while last < len(cells) - 1:
        first, last = last, last + 1
        while last < len(cells) - 1 and cells[last + 1] - cells[first] <= _GROUPS:
            last += 1
        start, stop = GROUP * cells[first], min(GROUP * cells[last], len(rows))
        here, n_groups, loaded = records[RECORD * start : RECORD * stop], cells[last] - cells[first], np.uint64(0)
        _load_block(here, block, boxes)
        _find_reached(boxes, cells[first : last + 1], narrow, reached)
        totals[:] = 0.0
        for member in range(n_members):
            begin, end, ranks = offsets[member], offsets[member + 1], kept[member % _AT_ONCE]
            _cover(block, narrow, reached, begin, end, n_groups, ranks)
            doubted = _in_doubt(ranks, n_groups, narrow.doubts[member])
            if doubted & ~loaded:
                _load_exact(rows, balls.scale, here, doubted & ~loaded, exact)
                loaded |= doubted
            while doubted:
                _decide(exact, lowest(doubted), balls, reached, begin, end, ranks)
                doubted &= doubted - np.uint64(1)
            if (member + 1) % _AT_ONCE == 0:
                _add_four(kept, narrow.tables, offsets, member + 1 - _AT_ONCE, totals[: stop - start])
        for member in range(n_members - n_members % _AT_ONCE, n_members):
            _add_one(kept, narrow.tables, offsets, member, totals[: stop - start])
        for slot in range(stop - start):
            scores[int(here[RECORD * slot + FEATURES])] = totals[slot] / n_members


@kernel
def _load_block(records: NarrowArray, block: NarrowArray, boxes: NarrowArray) -> None:
    """Transpose the rows of each group, and measure the box around them; rows past the end are out of reach."""
    n_rows = len(records) // RECORD
    for group in range(-(-n_rows // GROUP)):
        first, place = GROUP * group, GROUP * FEATURES * group
        lows = highs = load8(records, RECORD * first)
        for slot in range(GROUP):
            row = min(first + slot, n_rows - 1)
            values = load8(records, RECORD * row)
            lows, highs = smaller(lows, values), larger(highs, values)
            for feature in range(FEATURES):
                block[place + GROUP * feature + slot] = records[RECORD * row + feature]
        for feature in range(FEATURES):
            _set_box(boxes, feature, group, pick(lows, feature), pick(highs, feature))
    for slot in range(n_rows, -(-n_rows // GROUP) * GROUP):
        for feature in range(FEATURES):
            block[FEATURES * (slot - slot % GROUP) + GROUP * feature + slot % GROUP] = EDGE


@kernel
def _set_box(boxes: NarrowArray, feature: int, which: int, low: float, high: float) -> None:
    """Note where the middle of a box is, and how far it reaches to both sides, never less than it does."""
    middle = (low + high) * np.float32(0.5)
    boxes[feature, which] = middle
    boxes[FEATURES + feature, which] = max(high - middle, middle - low) + np.float32(_BOX_SLACK)


@kernel
def _find_reached(boxes: NarrowArray, cells: IntArray, narrow: Narrow, reached: BitArray) -> None:
    """Tell for every ball which groups it may reach, as bits, from the lowest.

    A cell's groups are only compared with the balls that may reach the box around the cell.
    """
    columns, reaches, near = narrow.columns, narrow.reaches, np.empty(-(-len(reached) // LANES), np.uint64)
    around = np.empty((2 * FEATURES, 1), np.float32)
    reached[:] = 0
    for cell in range(len(cells) - 1):
        first, n_groups = cells[cell] - cells[0], cells[cell + 1] - cells[cell]
        _surround(boxes[:, first : first + n_groups], around)
        _find_near(around, columns, reaches, near)
        place, groups = np.uint64(first), (np.uint64(1) << np.uint64(n_groups)) - np.uint64(1)
        m0, m1, m2, m3 = load(boxes[0], first), load(boxes[1], first), load(boxes[2], first), load(boxes[3], first)
        h0, h1, h2, h3 = load(boxes[4], first), load(boxes[5], first), load(boxes[6], first), load(boxes[7], first)
        for part in range(len(near)):
            balls = near[part]
            while balls:
                ball = LANES * part + lowest(balls)
                balls &= balls - np.uint64(1)
                d0, d1 = _outside(spread(columns[0], ball), m0, h0), _outside(spread(columns[1], ball), m1, h1)
                d2, d3 = _outside(spread(columns[2], ball), m2, h2), _outside(spread(columns[3], ball), m3, h3)
                beyond = fused(d3, d3, fused(d2, d2, fused(d1, d1, d0 * d0))) - spread(reaches, ball)
                reached[ball] |= (negative(beyond) & groups) << place


@kernel
def _surround(boxes: NarrowArray, around: NarrowArray) -> None:
    """Measure the box around some boxes."""
    for feature in range(FEATURES):
        middles, halves = boxes[feature], boxes[FEATURES + feature]
        _set_box(around, feature, 0, (middles - halves).min(), (middles + halves).max())


@kernel
def _find_near(around: NarrowArray, columns: NarrowArray, reaches: NarrowArray, near: BitArray) -> None:
    """Tell which balls may reach a box, as bits, sixteen balls a number.

    All of them before any is followed up: so the processor knows in time how many there are.
    """
    c0, c1, c2, c3 = columns[0], columns[1], columns[2], columns[3]
    m0, m1, m2, m3 = fill(around[0, 0]), fill(around[1, 0]), fill(around[2, 0]), fill(around[3, 0])
    h0, h1, h2, h3 = fill(around[4, 0]), fill(around[5, 0]), fill(around[6, 0]), fill(around[7, 0])
    for part in range(len(near)):
        ball = LANES * part
        d0, d1 = _outside(load(c0, ball), m0, h0), _outside(load(c1, ball), m1, h1)
        d2, d3 = _outside(load(c2, ball), m2, h2), _outside(load(c3, ball), m3, h3)
        near[part] = negative(fused(d3, d3, fused(d2, d2, fused(d1, d1, d0 * d0))) - load(reaches, ball))


@kernel
def _outside(value: Any, middle: Any, half: Any) -> Any:
    """How far values lie outside of boxes."""
    return above_zero(absolute(value - middle) - half)


@kernel
def _cover(
    block: NarrowArray, narrow: Narrow, reached: BitArray, begin: int, end: int, n_groups: int, ranks: WordArray
) -> None:
    """Keep for each row the smallest of a sample's balls that may cover it: its rank, and by how much it does.

    The rank is the upper half of a word, larger for a smaller ball. The lower half is that of the negative float by
    which the squared distance is within reach, so that words are ordered by rank.
    """
    c0, c1, c2, c3 = narrow.columns[0], narrow.columns[1], narrow.columns[2], narrow.columns[3]
    for group in range(n_groups):
        store(ranks, GROUP * group, fill(np.int32(_UNCOVERED)))
    for ball in range(begin, end):
        groups, rank = reached[ball], fill(np.int32((end - ball) << 16 | _UNCOVERED))
        x0, x1, x2, x3 = spread(c0, ball), spread(c1, ball), spread(c2, ball), spread(c3, ball)
        reach = fill(-narrow.reaches[ball])
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
def _decide(
    exact: FloatArray,
    group: int,
    balls: Balls,
    reached: BitArray,
    begin: int,
    end: int,
    ranks: WordArray,
) -> None:
    """Keep for each row of a group the smallest of a sample's balls that covers it."""
    centres, squares = balls.centres.reshape(-1), balls.squares
    first, chosen = GROUP * group, fill(np.int32(_UNCOVERED))
    x0, x1, x2, x3 = load(exact[0], first), load(exact[1], first), load(exact[2], first), load(exact[3], first)
    for ball in range(end - 1, begin - 1, -1):
        if reached[ball] >> np.uint64(group) & np.uint64(1):
            place = FEATURES * ball
            d0, d1 = x0 - spread(centres, place), x1 - spread(centres, place + 1)
            d2, d3 = x2 - spread(centres, place + 2), x3 - spread(centres, place + 3)
            covered = at_most(((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3, spread(squares, ball))
            chosen = choose(covered, fill(np.int32((end - ball) << 16)), chosen)
    store(ranks, first, chosen)


@kernel
def _add_four(kept: WordArray, tables: FloatArray, offsets: IntArray, member: int, totals: FloatArray) -> None:
    """Add four samples' scores, one after the other."""
    t0, t1 = _table(tables, offsets, member), _table(tables, offsets, member + 1)
    t2, t3 = _table(tables, offsets, member + 2), _table(tables, offsets, member + 3)
    k0, k1, k2, k3 = _halves(kept, 0), _halves(kept, 1), _halves(kept, 2), _halves(kept, 3)
    for slot in range(len(totals)):
        upper = 2 * slot + 1
        totals[slot] = (((totals[slot] + t0[k0[upper]]) + t1[k1[upper]]) + t2[k2[upper]]) + t3[k3[upper]]


@kernel
def _add_one(kept: WordArray, tables: FloatArray, offsets: IntArray, member: int, totals: FloatArray) -> None:
    """Add one sample's scores."""
    table, halves = _table(tables, offsets, member), _halves(kept, member % _AT_ONCE)
    for slot in range(len(totals)):
        totals[slot] += table[halves[2 * slot + 1]]


@kernel
def _table(tables: FloatArray, offsets: IntArray, member: int) -> FloatArray:
    """A sample's scores by rank."""
    return tables[len(tables) - 1 - offsets[member + 1] - member :]


@kernel
def _halves(kept: WordArray, which: int) -> Any:
    """Words as halves: an upper one follows its lower one on all processors there are."""
    return kept[which].view(np.uint16)
