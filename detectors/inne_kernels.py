"""iNNE's hot loops: scoring and explaining rows.

Rows are worked on in blocks, transposed, so that one instruction does many rows; a single row is measured against many
centres at once instead. Both sum squared differences feature by feature in the same order, so both give the same bits.
Squares are never expanded: that loses everything on data far from zero. A sample's features are padded to a multiple of
`UNROLL` with a feature that is 0 everywhere, which adds exact zeros.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BLOCK = 256
"""Rows a block: below, the loops' own cost shows; above, 64 features leave the second-level cache."""

UNROLL = 4
"""Features a pass over a block: fewer would load and store the sums more often."""

FAR = 2.0**480
"""Rows further out are moved here: with centres within 2**400 the scores are the same, and no square overflows."""

_NEAR = 2.0**-1000
"""Squared distances below count as this one, whose inverse is finite."""


class Balls(NamedTuple):
    """What the kernels know of every sample, by ascending radius within each.

    Attributes
    ----------
    offsets : ndarray of shape (n_members + 1,), int64
        Where each sample begins among the centres.
    features : ndarray of shape (n_members, n_padded), int64
        Columns that each sample looks at, padded with the number of columns.
    centres : ndarray of shape (n_centres, n_padded), float64
        In units of `scale`.
    squares : ndarray of shape (n_centres,), float64
        Squared radii.
    scores : ndarray of shape (n_centres,), float64
        The isolation score of what a ball covers.
    medians : ndarray of shape (n_members,), float64
        Median radius of each sample.
    scale : float
        A power of two by which rows are multiplied.
    """

    offsets: IntArray
    features: IntArray
    centres: FloatArray
    squares: FloatArray
    scores: FloatArray
    medians: FloatArray
    scale: float


@kernel
def score_rows(rows: FloatArray, balls: Balls, graded: bool, scores: FloatArray) -> None:
    """Fill in the mean score of each row over all samples."""
    n_members, width = len(balls.offsets) - 1, _block_width(rows)
    block = np.empty((rows.shape[1] + 1, width))
    sums, member_scores, totals = np.zeros((2, width)), np.empty(width), np.empty(width)
    for start in range(0, len(rows), width):
        stop = min(start + width, len(rows))
        _load(rows[start:stop], balls.scale, block)
        totals[:] = 0.0
        for member in range(n_members):
            _score_block(block, balls, member, graded, sums, member_scores)
            for row in range(width):
                totals[row] += member_scores[row]
        for row in range(stop - start):
            scores[start + row] = totals[row] / n_members


@kernel
def _block_width(rows: FloatArray) -> int:
    """How many rows a block holds: `BLOCK`, or what fewer need, in whole registers."""
    return min(BLOCK, (len(rows) + 31) // 32 * 32)


@kernel
def _load(rows: FloatArray, scale: float, block: FloatArray) -> None:
    """Transpose rows into a block; its last feature and the rows past the end are 0."""
    block[:] = 0.0
    for row in range(len(rows)):
        for feature in range(rows.shape[1]):
            block[feature, row] = min(max(rows[row, feature] * scale, -FAR), FAR)


@kernel
def _score_block(
    block: FloatArray, balls: Balls, member: int, graded: bool, sums: FloatArray, scores: FloatArray
) -> None:
    """Fill in one sample's scores of a block; `sums` is room for two balls' distances, 0 to start with."""
    start, stop = balls.offsets[member], balls.offsets[member + 1]
    features = balls.features[member]
    last = len(features) - UNROLL
    b0, b1 = block[features[last]], block[features[last + 1]]
    b2, b3 = block[features[last + 2]], block[features[last + 3]]
    scores[:] = np.inf if graded else 1.0
    # From the largest ball to the smallest, so that the smallest that covers a row has the last word.
    for ball in range(stop - 1, start - 1, -1):
        half = (stop - 1 - ball) % 2
        if last > 0 and half == 0:
            _add_squares(block, features, balls.centres[ball], balls.centres[max(ball - 1, start)], sums[0], sums[1])
        centre = balls.centres[ball]
        c0, c1, c2, c3 = centre[last], centre[last + 1], centre[last + 2], centre[last + 3]
        if graded:
            _keep_nearest(b0, b1, b2, b3, c0, c1, c2, c3, sums[half], scores)
        else:
            _cover(b0, b1, b2, b3, c0, c1, c2, c3, sums[half], balls.squares[ball], balls.scores[ball], scores)
    if graded:
        median = balls.medians[member]
        for row in range(len(scores)):
            scores[row] = _grade(scores[row], median)


@kernel
def _add_squares(
    block: FloatArray, features: IntArray, one: FloatArray, two: FloatArray, ones: FloatArray, twos: FloatArray
) -> None:
    """Sum up the squared differences of all but the last `UNROLL` features to two centres.

    Two at a time, because with many features a block has to be loaded from the second-level cache.
    """
    for first in range(0, len(features) - UNROLL, UNROLL):
        b0, b1 = block[features[first]], block[features[first + 1]]
        b2, b3 = block[features[first + 2]], block[features[first + 3]]
        c0, c1, c2, c3 = one[first], one[first + 1], one[first + 2], one[first + 3]
        e0, e1, e2, e3 = two[first], two[first + 1], two[first + 2], two[first + 3]
        if first == 0:
            for row in range(len(ones)):
                d0, d1, d2, d3 = b0[row] - c0, b1[row] - c1, b2[row] - c2, b3[row] - c3
                ones[row] = ((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3
                d0, d1, d2, d3 = b0[row] - e0, b1[row] - e1, b2[row] - e2, b3[row] - e3
                twos[row] = ((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3
        else:
            for row in range(len(ones)):
                d0, d1, d2, d3 = b0[row] - c0, b1[row] - c1, b2[row] - c2, b3[row] - c3
                ones[row] = (((ones[row] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3
                d0, d1, d2, d3 = b0[row] - e0, b1[row] - e1, b2[row] - e2, b3[row] - e3
                twos[row] = (((twos[row] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3


@kernel
def _cover(
    b0: FloatArray,
    b1: FloatArray,
    b2: FloatArray,
    b3: FloatArray,
    c0: float,
    c1: float,
    c2: float,
    c3: float,
    sums: FloatArray,
    square: float,
    score: float,
    scores: FloatArray,
) -> None:
    """Add the last features' squares, and give the rows that the ball covers its score."""
    for row in range(len(scores)):
        d0, d1, d2, d3 = b0[row] - c0, b1[row] - c1, b2[row] - c2, b3[row] - c3
        distance = (((sums[row] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3
        scores[row] = score if distance <= square else scores[row]


@kernel
def _keep_nearest(
    b0: FloatArray,
    b1: FloatArray,
    b2: FloatArray,
    b3: FloatArray,
    c0: float,
    c1: float,
    c2: float,
    c3: float,
    sums: FloatArray,
    nearest: FloatArray,
) -> None:
    """Add the last features' squares, and keep the smallest distance of each row."""
    for row in range(len(nearest)):
        d0, d1, d2, d3 = b0[row] - c0, b1[row] - c1, b2[row] - c2, b3[row] - c3
        distance = (((sums[row] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3
        nearest[row] = distance if distance < nearest[row] else nearest[row]


@kernel
def _grade(square: float, median: float) -> float:
    """Score a row by its distance to the nearest centre, in median radii."""
    distance = np.sqrt(square)
    return distance / (distance + median) if distance > 0.0 else 0.0


@kernel
def score_few(
    rows: FloatArray, balls: Balls, columns: FloatArray, picks: IntArray, graded: bool, scores: FloatArray
) -> None:
    """Do what `score_rows` does one row at a time, each measured against many centres at once.

    `columns` is ``balls.centres`` transposed; `picks`, of the same shape, the feature that each of its values belongs
    to, or empty where every sample looks at all features.
    """
    values = np.zeros(rows.shape[1] + UNROLL)
    sums = np.empty(columns.shape[1])
    for row in range(len(rows)):
        for feature in range(rows.shape[1]):
            values[feature] = min(max(rows[row, feature] * balls.scale, -FAR), FAR)
        sums[:] = 0.0
        for first in range(0, len(columns), UNROLL):
            if len(picks):
                _add_picked(values, picks, columns, first, sums)
            else:
                _add_all(values, columns, first, sums)
        scores[row] = _mean_score(sums, balls, graded)


@kernel
def _mean_score(sums: FloatArray, balls: Balls, graded: bool) -> float:
    """One row's score from its squared distances to all centres."""
    n_members = len(balls.offsets) - 1
    total = 0.0
    for member in range(n_members):
        start, stop = balls.offsets[member], balls.offsets[member + 1]
        if graded:
            nearest = np.inf
            for ball in range(start, stop):
                nearest = min(nearest, sums[ball])
            total += _grade(nearest, balls.medians[member])
        else:
            score = 1.0
            for ball in range(start, stop):
                if sums[ball] <= balls.squares[ball]:
                    score = balls.scores[ball]
                    break
            total += score
    return total / n_members


@kernel
def _add_all(values: FloatArray, columns: FloatArray, first: int, sums: FloatArray) -> None:
    """Add the squared differences of a few features to every centre's sum."""
    v0, v1, v2, v3 = values[first], values[first + 1], values[first + 2], values[first + 3]
    c0, c1, c2, c3 = columns[first], columns[first + 1], columns[first + 2], columns[first + 3]
    for ball in range(len(sums)):
        d0, d1, d2, d3 = c0[ball] - v0, c1[ball] - v1, c2[ball] - v2, c3[ball] - v3
        sums[ball] = (((sums[ball] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3


@kernel
def _add_picked(values: FloatArray, picks: IntArray, columns: FloatArray, first: int, sums: FloatArray) -> None:
    """The same where each sample looks at features of its own."""
    p0, p1, p2, p3 = picks[first], picks[first + 1], picks[first + 2], picks[first + 3]
    c0, c1, c2, c3 = columns[first], columns[first + 1], columns[first + 2], columns[first + 3]
    for ball in range(len(sums)):
        d0, d1 = c0[ball] - values[p0[ball]], c1[ball] - values[p1[ball]]
        d2, d3 = c2[ball] - values[p2[ball]], c3[ball] - values[p3[ball]]
        sums[ball] = (((sums[ball] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3


@kernel
def explain(rows: FloatArray, balls: Balls, contributions: FloatArray) -> None:
    """Fill in each feature's share of the squared distance to a sample's nearest centre.

    It is the mean over the samples that look at the feature, weighted by their size: the larger the sample, the nearer
    its nearest centre, and the more what is left of the distance says of the row alone.
    """
    n_features, width = rows.shape[1], _block_width(rows)
    block, shares = np.empty((n_features + 1, width)), np.empty((n_features + 1, width))
    sums, nearest, which = np.zeros((2, width)), np.empty(width), np.empty(width, np.int64)
    weights = _weights(balls, n_features)
    for start in range(0, len(rows), width):
        stop = min(start + width, len(rows))
        _load(rows[start:stop], balls.scale, block)
        shares[:] = 0.0
        for member in range(len(balls.offsets) - 1):
            _find_nearest(block, balls, member, sums, nearest, which)
            for row in range(width):
                nearest[row] = 1.0 / max(nearest[row], _NEAR)
            for place in range(balls.features.shape[1]):
                feature = balls.features[member, place]
                weight = weights[member, place]
                for row in range(width):
                    difference = block[feature, row] - balls.centres[which[row], place]
                    shares[feature, row] += weight * (difference * difference * nearest[row])
        _normalise(shares[:n_features], contributions[start:stop])


@kernel
def _weights(balls: Balls, n_features: int) -> FloatArray:
    """How much each sample counts for each of its features; those of a feature add up to 1."""
    sizes, totals = np.diff(balls.offsets).astype(np.float64), np.zeros(n_features + 1)
    weights = np.empty(balls.features.shape)
    for member in range(len(sizes)):
        for feature in balls.features[member]:
            totals[feature] += sizes[member]
    for member in range(len(sizes)):
        for place in range(balls.features.shape[1]):
            weights[member, place] = sizes[member] / totals[balls.features[member, place]]
    return weights


@kernel
def _find_nearest(
    block: FloatArray, balls: Balls, member: int, sums: FloatArray, nearest: FloatArray, which: IntArray
) -> None:
    """For each row of a block one sample's nearest centre, and how far it is, squared.

    Of equally near ones it is that with the smallest ball.
    """
    start, stop = balls.offsets[member], balls.offsets[member + 1]
    features = balls.features[member]
    last = len(features) - UNROLL
    b0, b1 = block[features[last]], block[features[last + 1]]
    b2, b3 = block[features[last + 2]], block[features[last + 3]]
    nearest[:] = np.inf
    for ball in range(stop - 1, start - 1, -1):
        half = (stop - 1 - ball) % 2
        if last > 0 and half == 0:
            _add_squares(block, features, balls.centres[ball], balls.centres[max(ball - 1, start)], sums[0], sums[1])
        centre, distances = balls.centres[ball], sums[half]
        c0, c1, c2, c3 = centre[last], centre[last + 1], centre[last + 2], centre[last + 3]
        for row in range(len(nearest)):
            d0, d1, d2, d3 = b0[row] - c0, b1[row] - c1, b2[row] - c2, b3[row] - c3
            distance = (((distances[row] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3
            closer = distance <= nearest[row]
            which[row] = ball if closer else which[row]
            nearest[row] = distance if closer else nearest[row]


@kernel
def _normalise(shares: FloatArray, contributions: FloatArray) -> None:
    """Transpose a block's shares, each row divided by its sum; a row of zeros stays one."""
    for row in range(len(contributions)):
        total = 0.0
        for feature in range(len(shares)):
            total += shares[feature, row]
        for feature in range(len(shares)):
            contributions[row, feature] = shares[feature, row] / total if total > 0.0 else 0.0
