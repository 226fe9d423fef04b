"""iNNE's scores of many rows of at most four features: most balls are out of reach of rows that are near each other.

Rows are put in an order in which neighbours follow each other and worked on in blocks. A ball that does not reach the
box around a block covers none of its rows. Distances are computed as in `inne_kernels`, so the scores are the same
bits. With more features boxes are wide and rule out little.
"""

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FEATURES = 4
"""Columns of the centres, padded."""

BLOCK = 128
"""Rows a block: below, the loops' own cost shows; above, boxes are wider."""

_AT_ONCE = 4  # balls a pass over a block; their centres fit the processor's registers
_MOST_PARTS = 60  # waiting to be split; a half waits while the smaller one is split, so 60 is never reached


@kernel
def score_rows(
    rows: FloatArray,
    offsets: IntArray,
    columns: FloatArray,
    squares: FloatArray,
    ball_scores: FloatArray,
    scale: float,
    far: float,
    scores: FloatArray,
) -> None:
    """Fill in the mean score of each row over all samples.

    The arguments are the fields of `inne_kernels.Balls`, but for `columns`, which are its centres transposed, and
    `far`, beyond which rows are moved to it.
    """
    n_members, n_features = len(offsets) - 1, rows.shape[1]
    order = _neighbours_together(rows)
    block, near = np.empty((FEATURES, BLOCK)), np.empty(len(squares))
    scores_of_member, totals = np.empty(BLOCK), np.empty(BLOCK)
    kept = np.empty(len(squares) + _AT_ONCE, np.int64)
    for start in range(0, len(rows), BLOCK):
        stop = min(start + BLOCK, len(rows))
        block[:] = 0.0
        for slot in range(stop - start):
            for feature in range(n_features):
                block[feature, slot] = min(max(rows[order[start + slot], feature] * scale, -far), far)
        _measure_box(block[:, : stop - start], columns, near)
        totals[:] = 0.0
        for member in range(n_members):
            scores_of_member[:] = 1.0
            count = _within_reach(offsets[member], offsets[member + 1], near, squares, kept)
            for first in range(0, count, _AT_ONCE):
                _cover(block, columns, squares, ball_scores, kept[first : first + _AT_ONCE], scores_of_member)
            for slot in range(BLOCK):
                totals[slot] += scores_of_member[slot]
        for slot in range(stop - start):
            scores[order[start + slot]] = totals[slot] / n_members


@kernel
def _neighbours_together(rows: FloatArray) -> IntArray:
    """An order of the rows: what is more than a block is split at the middle of its widest feature, again and again."""
    order = np.arange(len(rows))
    starts, stops, waiting = np.empty(_MOST_PARTS + 2, np.int64), np.empty(_MOST_PARTS + 2, np.int64), 1
    starts[0], stops[0] = 0, len(rows)
    while waiting:
        waiting -= 1
        start, stop = starts[waiting], stops[waiting]
        if stop - start <= BLOCK or waiting >= _MOST_PARTS:
            continue
        middle = _split(rows, order, start, stop)
        if middle in (start, stop):  # all are alike
            continue
        larger_first = middle - start > stop - middle
        starts[waiting], stops[waiting] = (start, middle) if larger_first else (middle, stop)
        starts[waiting + 1], stops[waiting + 1] = (middle, stop) if larger_first else (start, middle)
        waiting += 2
    return order


@kernel
def _split(rows: FloatArray, order: IntArray, start: int, stop: int) -> int:
    """Split a span of `order` at the middle of its widest feature; where the second part begins."""
    widest, middle, chosen = -1.0, 0.0, 0
    for feature in range(rows.shape[1]):
        low = high = rows[order[start], feature]
        for slot in range(start + 1, stop):
            value = rows[order[slot], feature]
            low, high = min(low, value), max(high, value)
        if high - low > widest:
            widest, middle, chosen = high - low, low / 2.0 + high / 2.0, feature
    left, right = start, stop
    while left < right:
        if rows[order[left], chosen] <= middle:
            left += 1
        else:
            right -= 1
            order[left], order[right] = order[right], order[left]
    return left


@kernel
def _measure_box(block: FloatArray, columns: FloatArray, near: FloatArray) -> None:
    """Fill in how near, squared, each centre is to the box around a block.

    Differences, squares and sums are rounded as those of a row, in the same order, so that no row's distance comes out
    smaller.
    """
    near[:] = 0.0
    for feature in range(FEATURES):
        low, high, values = block[feature].min(), block[feature].max(), columns[feature]
        for ball in range(len(near)):
            before, behind = low - values[ball], values[ball] - high
            outside = before if before > behind else behind
            outside = outside if outside > 0.0 else 0.0
            near[ball] += outside * outside


@kernel
def _within_reach(start: int, stop: int, near: FloatArray, squares: FloatArray, kept: IntArray) -> int:
    """List a sample's balls that reach the box, from the largest to the smallest; how many.

    The smallest is listed again, as often as a pass over the block needs.
    """
    count = 0
    for ball in range(stop - 1, start - 1, -1):
        kept[count] = ball
        count += near[ball] <= squares[ball]
    for extra in range(count, count + _AT_ONCE if count else 0):
        kept[extra] = kept[count - 1]
    return count


@kernel
def _cover(
    block: FloatArray,
    columns: FloatArray,
    squares: FloatArray,
    ball_scores: FloatArray,
    balls: IntArray,
    scores: FloatArray,
) -> None:
    """Give the rows that some balls cover their scores; the last of them, the smallest, has the last word."""
    b0, b1, b2, b3 = block[0], block[1], block[2], block[3]
    x0, x1, x2, x3 = columns[0], columns[1], columns[2], columns[3]
    i, j, k, l = balls[0], balls[1], balls[2], balls[3]  # noqa: E741 - four at once
    i0, i1, i2, i3, i_square, i_score = x0[i], x1[i], x2[i], x3[i], squares[i], ball_scores[i]
    j0, j1, j2, j3, j_square, j_score = x0[j], x1[j], x2[j], x3[j], squares[j], ball_scores[j]
    k0, k1, k2, k3, k_square, k_score = x0[k], x1[k], x2[k], x3[k], squares[k], ball_scores[k]
    l0, l1, l2, l3, l_square, l_score = x0[l], x1[l], x2[l], x3[l], squares[l], ball_scores[l]
    for slot in range(BLOCK):
        a0, a1, a2, a3, score = b0[slot], b1[slot], b2[slot], b3[slot], scores[slot]
        d0, d1, d2, d3 = a0 - i0, a1 - i1, a2 - i2, a3 - i3
        score = i_score if ((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3 <= i_square else score
        d0, d1, d2, d3 = a0 - j0, a1 - j1, a2 - j2, a3 - j3
        score = j_score if ((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3 <= j_square else score
        d0, d1, d2, d3 = a0 - k0, a1 - k1, a2 - k2, a3 - k3
        score = k_score if ((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3 <= k_square else score
        d0, d1, d2, d3 = a0 - l0, a1 - l1, a2 - l2, a3 - l3
        score = l_score if ((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3 <= l_square else score
        scores[slot] = score
