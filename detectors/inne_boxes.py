"""iNNE's scores of many rows of at most four features: most balls are out of reach of rows that are near each other.

Rows are put in an order in which neighbours follow each other (`inne_order`). Balls are compared with the boxes around
cells of up to 64 rows, sixteen balls at a time, and with the rows of the cells that they reach, sixteen rows at a time,
in 32 bits where that is certain (`inne_narrow`).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.inne_kernels import FAR
from detectors.inne_narrow import FEATURES, NarrowBalls
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

_GROUPS = 64  # that are worked on together: bits of a number
_ROWS = GROUP * _GROUPS
_AT_ONCE = 4  # samples whose scores are added in one pass
_UNCOVERED = 0xFFFF  # what is kept of a row no ball covers: rank 0, and nothing in doubt
_HALF = 0x7FFF  # the lower half of what is kept, without its sign
_BOX_SLACK = 2.0**-18  # 64 u: a box is measured by seven roundings of numbers below 8


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

    `records` and `cells` are what `inne_order.sort` returns, the rest the fields of `NarrowBalls`: to pass
    them one by one takes a microsecond less.
    """
    balls = NarrowBalls(offsets, centres, squares, scale, columns, reaches, doubts, tables, middle, unit)
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
        _find_reached(boxes, groups[:, : last - first], balls, reached)
        totals[:] = 0.0
        for member in range(n_members):
            ranks = kept[member % _AT_ONCE]
            _cover(block, balls, reached, member, n_groups, ranks)
            doubted = _in_doubt(ranks, n_groups, doubts[member])
            if doubted & ~loaded:
                _load_exact(rows, scale, here, doubted & ~loaded, exact)
                loaded |= doubted
            while doubted:
                _decide(exact, lowest(doubted), balls, reached, member, ranks)
                doubted &= doubted - np.uint64(1)
            if (member + 1) % _AT_ONCE == 0:
                _add_four(kept, balls, member + 1 - _AT_ONCE, totals[: stop - start])
        for member in range(n_members - n_members % _AT_ONCE, n_members):
            _add_one(kept, balls, member, totals[: stop - start])
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
def _find_reached(boxes: NarrowArray, groups: WordArray, balls: NarrowBalls, reached: WordArray) -> None:
    """Tell for every ball which groups it may reach, as bits, from the lowest."""
    c0, c1, c2, c3 = balls.columns[0], balls.columns[1], balls.columns[2], balls.columns[3]
    for first in range(0, len(balls.reaches) - LANES, LANES):
        x0, x1, x2, x3 = load(c0, first), load(c1, first), load(c2, first), load(c3, first)
        reach, lower, upper = load(balls.reaches, first), fill(np.int32(0)), fill(np.int32(0))
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
def _cover(
    block: NarrowArray, balls: NarrowBalls, reached: WordArray, member: int, n_groups: int, ranks: WordArray
) -> None:
    """Keep for each row the smallest of a sample's balls that may cover it: its rank, and by how much it does.

    The rank is the upper half of a word, larger for a smaller ball. The lower half is that of the negative float by
    which the squared distance is within reach, so that words are ordered by rank.
    """
    c0, c1, c2, c3 = balls.columns[0], balls.columns[1], balls.columns[2], balls.columns[3]
    begin, end = balls.offsets[member], balls.offsets[member + 1]
    for group in range(n_groups):
        store(ranks, GROUP * group, fill(np.int32(_UNCOVERED)))
    for ball in range(begin, end):
        groups, rank = _groups(reached, ball), fill(np.int32((end - ball) << 16 | _UNCOVERED))
        x0, x1, x2, x3 = spread(c0, ball), spread(c1, ball), spread(c2, ball), spread(c3, ball)
        reach = fill(-balls.reaches[ball])
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
    exact: FloatArray, group: int, balls: NarrowBalls, reached: WordArray, member: int, ranks: WordArray
) -> None:
    """Keep for each row of a group the smallest of a sample's balls that covers it."""
    centres, squares = balls.centres.reshape(-1), balls.squares
    begin, end = balls.offsets[member], balls.offsets[member + 1]
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
def _add_four(kept: WordArray, balls: NarrowBalls, member: int, totals: FloatArray) -> None:
    """Add four samples' scores, one after the other."""
    t0, t1, t2, t3 = (
        _table(balls, member),
        _table(balls, member + 1),
        _table(balls, member + 2),
        _table(balls, member + 3),
    )
    k0, k1, k2, k3 = _halves(kept, 0), _halves(kept, 1), _halves(kept, 2), _halves(kept, 3)
    for slot in range(len(totals)):
        upper = 2 * slot + 1
        totals[slot] = (((totals[slot] + t0[k0[upper]]) + t1[k1[upper]]) + t2[k2[upper]]) + t3[k3[upper]]


@kernel
def _add_one(kept: WordArray, balls: NarrowBalls, member: int, totals: FloatArray) -> None:
    """Add one sample's scores."""
    table, halves = _table(balls, member), _halves(kept, member % _AT_ONCE)
    for slot in range(len(totals)):
        totals[slot] += table[halves[2 * slot + 1]]


@kernel
def _table(balls: NarrowBalls, member: int) -> FloatArray:
    """A sample's scores by rank."""
    return balls.tables[len(balls.tables) - 1 - balls.offsets[member + 1] - member :]


@kernel
def _halves(kept: WordArray, which: int) -> Any:
    """Words as halves: an upper one follows its lower one on all processors there are."""
    return kept[which].view(np.uint16)
