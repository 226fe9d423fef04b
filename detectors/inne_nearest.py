"""iNNE's graded scores of many rows where each sample looks at four features or fewer.

Four centres are compared in one pass over a block of rows, so that the least distance so far stays in a register, and
the last pass of a sample goes on to the score: the processor takes roots and divides while it measures the next rows.
Distances are computed as in `inne_kernels`, so the scores are the same bits. Leaving out centres by boxes, as
`inne_boxes` does with balls, was measured to gain nothing here: of a single cluster 0.93 of the centres remain.
"""

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Centre = tuple[float, float, float, float]
Centres = tuple[Centre, Centre, Centre, Centre]

FEATURES = 4
"""Columns of the centres, padded."""

BLOCK = 512
"""Rows a block: below, the loops' own cost shows; above, four features leave the first-level cache."""

_AT_ONCE = 4  # centres a pass over a block; they fit the processor's registers


@kernel
def score_rows(
    rows: FloatArray,
    offsets: IntArray,
    features: IntArray,
    centres: FloatArray,
    medians: FloatArray,
    scale: float,
    far: float,
    scores: FloatArray,
) -> None:
    """Fill in the mean score of each row over all samples.

    The arguments are the fields of `inne_kernels.Balls`, and `far`, beyond which rows are moved to it.
    """
    n_members, n_features = len(medians), rows.shape[1]
    width = min(BLOCK, (len(rows) + 31) // 32 * 32)
    block = np.empty((n_features + 1, width))
    nearest, totals = np.empty(width), np.empty(width)
    for start in range(0, len(rows), width):
        stop = min(start + width, len(rows))
        block[:] = 0.0
        for slot in range(stop - start):
            for feature in range(n_features):
                block[feature, slot] = min(max(rows[start + slot, feature] * scale, -far), far)
        totals[:] = 0.0
        for member in range(n_members):
            own = centres[offsets[member] : offsets[member + 1]]
            _add_sample(block, features[member], own, medians[member], nearest, totals)
        for slot in range(stop - start):
            scores[start + slot] = totals[slot] / n_members


@kernel
def _add_sample(
    block: FloatArray,
    features: IntArray,
    centres: FloatArray,
    median: float,
    nearest: FloatArray,
    totals: FloatArray,
) -> None:
    """Add one sample's scores to the totals of a block; `nearest` is room for distances."""
    b0, b1, b2, b3 = block[features[0]], block[features[1]], block[features[2]], block[features[3]]
    three = features[3] == len(block) - 1  # the fourth is padding: 0 in all rows and centres
    last = len(centres) - 1
    nearest[:] = np.inf
    for first in range(0, len(centres), _AT_ONCE):
        # Where fewer are left the last is taken again: it is no nearer the second time.
        one, two = _centre(centres, first), _centre(centres, min(first + 1, last))
        four = (one, two, _centre(centres, min(first + 2, last)), _centre(centres, min(first + 3, last)))
        more = first + _AT_ONCE < len(centres)
        if more and three:
            for row in range(len(nearest)):
                nearest[row] = _least_of_three(b0[row], b1[row], b2[row], four, nearest[row])
        elif more:
            for row in range(len(nearest)):
                nearest[row] = _least_of_four(b0[row], b1[row], b2[row], b3[row], four, nearest[row])
        elif three:
            for row in range(len(nearest)):
                least = _least_of_three(b0[row], b1[row], b2[row], four, nearest[row])
                totals[row] += _grade(least, median)
        else:
            for row in range(len(nearest)):
                least = _least_of_four(b0[row], b1[row], b2[row], b3[row], four, nearest[row])
                totals[row] += _grade(least, median)


@kernel
def _centre(centres: FloatArray, which: int) -> Centre:
    return centres[which, 0], centres[which, 1], centres[which, 2], centres[which, 3]


@kernel
def _least_of_three(a0: float, a1: float, a2: float, centres: Centres, least: float) -> float:
    """The least squared distance of a row of three features to four centres, or what it was before."""
    for centre in centres:
        d0, d1, d2 = a0 - centre[0], a1 - centre[1], a2 - centre[2]
        distance = (d0 * d0 + d1 * d1) + d2 * d2
        least = distance if distance < least else least
    return least


@kernel
def _least_of_four(a0: float, a1: float, a2: float, a3: float, centres: Centres, least: float) -> float:
    """The same for a row of four features."""
    for centre in centres:
        d0, d1, d2, d3 = a0 - centre[0], a1 - centre[1], a2 - centre[2], a3 - centre[3]
        distance = ((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3
        least = distance if distance < least else least
    return least


@kernel
def _grade(square: float, median: float) -> float:
    """Score a row by its distance to the nearest centre, in median radii."""
    distance = np.sqrt(square)
    return distance / (distance + median) if distance > 0.0 else 0.0
