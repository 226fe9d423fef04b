"""iNNE's scores of a few rows of at most four features: each is compared with sixteen balls at once.

In 32 bits it is told which balls may cover a row (`inne_narrow`), in 64 bits which does.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.inne_kernels import FAR
from detectors.inne_narrow import FEATURES, NarrowBalls
from detectors.inne_order import EDGE
from detectors.kernels import kernel
from detectors.lanes import LANES, at_most, bits, fill, fused, load, lowest

FloatArray = npt.NDArray[np.float64]
NarrowArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
WordArray = npt.NDArray[np.int32]
BitArray = npt.NDArray[np.uint64]
HalfArray = npt.NDArray[np.uint16]


@kernel
def score_rows(
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
    """Fill in the mean score of each row over all samples; from `offsets` on, arguments are `NarrowBalls`' fields."""
    balls = NarrowBalls(offsets, centres, squares, scale, columns, reaches, doubts, tables, middle, unit)
    n_members, n_features = len(offsets) - 1, rows.shape[1]
    near, row = np.zeros(len(reaches) // 64 + 2, np.uint64), np.zeros(FEATURES)
    for which in range(len(rows)):
        for feature in range(n_features):
            row[feature] = min(max(rows[which, feature] * scale, -FAR), FAR)
        _find_near(row, balls, near.view(np.uint16))
        total = 0.0
        for member in range(n_members):
            total += _score(row, balls, near, member)
        scores[which] = total / n_members


@kernel
def _find_near(row: FloatArray, balls: NarrowBalls, near: HalfArray) -> None:
    """Tell which balls may cover a row, as bits, sixteen balls a number."""
    c0, c1, c2, c3 = balls.columns[0], balls.columns[1], balls.columns[2], balls.columns[3]
    x0, x1, x2, x3 = (
        _narrowed(row, balls, 0),
        _narrowed(row, balls, 1),
        _narrowed(row, balls, 2),
        _narrowed(row, balls, 3),
    )
    for ball in range(0, len(balls.squares), LANES):
        d0, d1, d2, d3 = load(c0, ball) - x0, load(c1, ball) - x1, load(c2, ball) - x2, load(c3, ball) - x3
        square = fused(d3, d3, fused(d2, d2, fused(d1, d1, d0 * d0)))
        near[ball // LANES] = bits(at_most(square, load(balls.reaches, ball)))


@kernel
def _narrowed(row: FloatArray, balls: NarrowBalls, feature: int) -> Any:
    """A row's feature in 32 bits."""
    return fill(np.float32(min(max((row[feature] - balls.middle[feature]) * balls.unit, -EDGE), EDGE)))


@kernel
def _score(row: FloatArray, balls: NarrowBalls, near: BitArray, member: int) -> Any:
    """One sample's score of a row."""
    ball, end = balls.offsets[member], balls.offsets[member + 1]
    while ball < end:
        following = near[ball // 64] >> np.uint64(ball % 64)
        if following == 0:
            ball += 64 - ball % 64
            continue
        ball += lowest(following)
        if ball < end and _covers(balls, ball, row):
            return balls.tables[len(balls.tables) - 1 - member - ball]
        ball += 1
    return 1.0


@kernel
def _covers(balls: NarrowBalls, ball: int, row: FloatArray) -> bool:
    """Tell whether a ball covers a row."""
    d0, d1 = row[0] - balls.centres[ball, 0], row[1] - balls.centres[ball, 1]
    d2, d3 = row[2] - balls.centres[ball, 2], row[3] - balls.centres[ball, 3]
    return bool(((d0 * d0 + d1 * d1) + d2 * d2) + d3 * d3 <= balls.squares[ball])
