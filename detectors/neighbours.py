"""Which rows lie within a distance of each other, decided as scikit-learn's tree decides it.

From the root to j's leaf, scikit-learn's k-d tree drops a row j as a neighbour of i if a node lies wholly beyond the
radius, takes it if one lies wholly within, and only in the leaf compares the distances, squared. Its nodes' corners go
through ``pow``, so where a distance equals the radius but for rounding the answer depends on the tree, and may differ
between (i, j) and (j, i). The kernels repeat that where it matters: where a squared distance is within `_ROUNDING` of
the squared radius. For the other metrics all of these comparisons agree.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors import neighbour_kernels as kernels
from detectors.blocks import for_each_block
from detectors.kdtree import QUERY_BLOCK_ROWS, Tree

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_ROUNDING = 2.0**-50
"""Per feature: more than the products, sums and powers of a squared distance can be off by, relatively."""

_SAFE = (1e-250, 1e250)
"""Squared radii between which nothing that matters under- or overflows; for others the walk decides every pair."""


@dataclass(frozen=True)
class Radius:
    """A distance that separates neighbours from others.

    Attributes
    ----------
    distance, reduced : float
        As given, and as reduced distances are compared with it.
    surely, hardly : float
        Reduced distances up to `surely` are within, those above `hardly` beyond, whatever rounding does.
    """

    distance: float
    reduced: float
    surely: float
    hardly: float

    @property
    def bounds(self) -> tuple[float, float, float, float, float]:
        """What the kernels take. The exponent goes along lest the compiler make ``pow`` a product."""
        return self.distance, self.reduced, self.surely, self.hardly, 2.0

    @classmethod
    def of(cls, distance: float, tree: Tree) -> "Radius":
        """The radius in a tree's metric and dimension."""
        if tree.metric != kernels.EUCLIDEAN:
            return cls(distance, distance, distance, distance)
        reduced = distance * distance
        if not _SAFE[0] < reduced < _SAFE[1]:
            return cls(distance, reduced, -1.0, np.inf)
        slack = reduced * _ROUNDING * (tree.low.shape[1] + 8)
        return cls(distance, reduced, reduced - slack, reduced + slack)


def core_rows(tree: Tree, radius: Radius, min_samples: int) -> npt.NDArray[np.bool_]:
    """Which rows have at least `min_samples` rows within the radius, themselves included.

    Parameters
    ----------
    tree : Tree
        All rows.
    radius : Radius
        How near a neighbour is.
    min_samples : int
        Counting stops there.

    Returns
    -------
    ndarray of shape (n,), bool
        By the number of the row.
    """
    n_rows = tree.order.shape[0]
    is_core = np.zeros(n_rows, dtype=np.bool_)

    def work(start: int, stop: int) -> None:
        kernels.core_rows(tree.arrays, radius.bounds, min_samples, start, stop, is_core)

    for_each_block(work, tree.n_leaves, max(1, QUERY_BLOCK_ROWS * tree.n_leaves // n_rows))
    return is_core


def components(tree: Tree, cores: Tree, radius: Radius) -> tuple[IntArray, IntArray]:
    """Which core rows are connected.

    Parameters
    ----------
    tree, cores : Tree
        All rows, and `part_of` it with the core rows.
    radius : Radius
        How near a neighbour is.

    Returns
    -------
    roots : ndarray of shape (n,), int64
        For each core row the first row of its component; for any other row itself.
    one_way : ndarray of shape (k, 2), int64
        Rows (i, j) of which i reaches j, but not j i, by rounding. May name rows that are connected otherwise.
    """
    roots = np.arange(tree.order.shape[0])
    one_way = kernels.components(cores.arrays, radius.bounds, (tree.low, tree.high), roots)
    return roots, one_way


def reached_rows(tree: Tree, cores: Tree, radius: Radius, rows: IntArray, X: FloatArray) -> npt.NDArray[np.bool_]:
    """Which rows lie within the radius of a core row, as seen from there.

    Parameters
    ----------
    tree, cores : Tree
        All rows, and `part_of` it with the core rows.
    radius : Radius
        How near a neighbour is.
    rows : ndarray of shape (k,), int64
        Numbers of the rows in question.
    X : ndarray of shape (n, d), float64
        All rows, by number.

    Returns
    -------
    ndarray of shape (k,), bool
        True for rows that some core row reaches.
    """
    reached = np.zeros(rows.shape[0], dtype=np.bool_)
    if rows.size:
        places = np.empty_like(tree.order)
        places[tree.order] = np.arange(tree.order.shape[0])
        leaves = np.searchsorted(tree.stops[-tree.n_leaves :], places[rows], side="right") + tree.n_leaves - 1
        kernels.reached_rows(cores.arrays, radius.bounds, (tree.low, tree.high), X[rows], leaves, reached)
    return reached
