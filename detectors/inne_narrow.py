"""What iNNE's fast kernels know of balls of at most four features: numbers in 32 bits, and how far off those are.

Whether a ball covers a row is told from distances in 32 bits, where that is certain. They are off by less than a known
bound; only a row whose verdict hangs on less is looked at again, in 64 bits and as in `inne_kernels`. So the scores are
the same bits. The bound: in units in which centres lie within 1, a feature of 32 bits is off by at most u = 2**-24 of
itself, a difference of a row and a centre that are d apart by 2u(1 + d), the square of a distance of four of them by
u(8d + 9.1d²) + 16u², four roundings of the sum included. `prepare` takes twice that.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.inne_kernels import Balls
from detectors.lanes import LANES

FloatArray = npt.NDArray[np.float64]
NarrowArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
WordArray = npt.NDArray[np.int32]

FEATURES = 4
"""Columns of the centres, padded."""

MOST_BALLS = 2**15 - 1
"""In a sample: a ball's rank fits the upper half of a word with a sign."""

_UNIT_ROUNDOFF = 2.0**-24


class NarrowBalls(NamedTuple):
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


def prepare(balls: Balls) -> NarrowBalls:
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
    return NarrowBalls(balls.offsets, centres, balls.squares, balls.scale, *narrow, middle, unit)
