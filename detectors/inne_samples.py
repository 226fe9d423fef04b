"""iNNE's samples: drawing their rows, and measuring the balls around them."""

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@kernel
def draw(uniform: FloatArray, population: int, offsets: IntArray, drawn: IntArray) -> None:
    """Fill each span of `drawn` with distinct numbers below `population`.

    Floyd's algorithm: it makes no pass over the population.
    """
    for member in range(len(offsets) - 1):
        start, stop = offsets[member], offsets[member + 1]
        for slot in range(start, stop):
            last = population - stop + slot
            pick = min(int(uniform[slot] * (last + 1)), last)
            for earlier in range(start, slot):
                if drawn[earlier] == pick:
                    pick = last
                    break
            drawn[slot] = pick


@kernel
def measure(
    offsets: IntArray, centres: FloatArray, squares: FloatArray, scores: FloatArray, medians: FloatArray
) -> None:
    """Sort each sample's centres by radius, in place, and fill in the balls.

    Of centres equally near the first is the nearest; of radii equally small the first stays first.
    """
    for member in range(len(offsets) - 1):
        start, stop = offsets[member], offsets[member + 1]
        sample = centres[start:stop].copy()
        square, nearest = _nearest_others(sample)
        order = np.argsort(square, kind="mergesort")
        for rank in range(stop - start):
            ball = order[rank]
            centres[start + rank] = sample[ball]
            squares[start + rank] = square[ball]
            # Copies of one row have no radius and are each other's neighbours: as normal as it gets.
            inner = np.sqrt(square[nearest[ball]] / square[ball]) if square[ball] > 0.0 else 1.0
            scores[start + rank] = 1.0 - inner
        medians[member] = np.median(np.sqrt(square))


@kernel
def _nearest_others(sample: FloatArray) -> tuple[FloatArray, IntArray]:
    """For each centre the squared distance to its nearest other one, and which that is."""
    size, n_features = sample.shape
    columns = sample.T.copy()
    square, nearest, sums = np.full(size, np.inf), np.zeros(size, np.int64), np.empty(size)
    for one in range(size):
        sums[one + 1 :] = 0.0
        for feature in range(n_features):
            value = sample[one, feature]
            for other in range(one + 1, size):
                difference = columns[feature, other] - value
                sums[other] += difference * difference
        for other in range(one + 1, size):
            if sums[other] < square[one]:
                square[one], nearest[one] = sums[other], other
            if sums[other] < square[other]:
                square[other], nearest[other] = sums[other], one
    return square, nearest
