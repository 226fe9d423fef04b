"""A k-d tree in flat arrays: how it is built, the nearest rows of a row.

Nodes are numbered as in a heap: the children of node i are 2 i + 1 and 2 i + 2, all leaves are on one level. A node is
halved at the median of its widest side, rows with the same value by their number: the split that scikit-learn's tree
makes, so that rounding at a node's corner can be told as it falls there (`detectors.neighbours`).

Distances are *reduced* for the Euclidean metric: squared, which orders them alike and is cheaper. The rows of a leaf
lie feature by feature, so that a processor takes several of them at once; a row's features are still added up in order,
as scikit-learn's tree adds them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors import kdtree_kernels as kernels
from detectors import neighbour_kernels
from detectors.blocks import for_each_block

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

METRICS = {"euclidean": kernels.EUCLIDEAN, "manhattan": kernels.MANHATTAN, "chebyshev": kernels.CHEBYSHEV}
"""Metrics by name, and what the kernels call them."""

PEER_LEAF_ROWS = 30
"""Rows a leaf of scikit-learn's tree has at least, by default."""

EXTRA_LEVELS = neighbour_kernels.EXTRA_LEVELS
"""Levels below scikit-learn's leaves. Leaves of 15 to 30 rows were the fastest between 2 and 16 features."""

QUERY_BLOCK_ROWS = 2048
"""Rows a thread takes at a time: some milliseconds."""


@dataclass(frozen=True)
class Tree:
    """Rows arranged in a k-d tree.

    Attributes
    ----------
    order : ndarray of shape (n,), int64
        Numbers of the rows, leaf after leaf.
    starts, stops : ndarray of shape (n_nodes,), int64
        Where in `order` a node's rows are.
    low, high : ndarray of shape (n_nodes, d), float64
        The corners of a node's rows; ``low > high`` for a node without rows.
    cells : ndarray of shape (n * d,), float64
        The leaves one after another, each feature by feature.
    widest : int
        Rows of the largest leaf.
    metric : int
        One of `METRICS`.
    """

    order: IntArray
    starts: IntArray
    stops: IntArray
    low: FloatArray
    high: FloatArray
    cells: FloatArray
    widest: int
    metric: int

    @property
    def n_leaves(self) -> int:
        """How many leaves there are: the last of the nodes."""
        return int(self.starts.shape[0] + 1) // 2

    @property
    def arrays(self) -> tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray, FloatArray, int, int]:
        """What the kernels take, in their order."""
        return self.order, self.starts, self.stops, self.low, self.high, self.cells, self.widest, self.metric


def build(X: FloatArray, metric: str) -> Tree:
    """Arrange rows in a tree.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
        Finite, at least one row.
    metric : str
        One of `METRICS`.

    Returns
    -------
    Tree
        It has its own copy of the rows.
    """
    n_rows = X.shape[0]
    levels = int(np.log2(max(1, (n_rows - 1) / PEER_LEAF_ROWS)) + 1) + EXTRA_LEVELS
    n_nodes = 2**levels - 1
    points = X.copy()
    order = np.arange(n_rows)
    starts, stops = np.zeros(n_nodes, dtype=np.int64), np.zeros(n_nodes, dtype=np.int64)
    low, high = np.full((n_nodes, X.shape[1]), np.inf), np.full((n_nodes, X.shape[1]), -np.inf)
    kernels.split(points, order, starts, stops, low, high, np.empty_like(points))
    cells = np.empty(points.size)
    kernels.lay_out(points, starts, stops, cells)
    widest = int((stops - starts)[n_nodes // 2 :].max())
    return Tree(order, starts, stops, low, high, cells, widest, METRICS[metric])


def part_of(tree: Tree, kept: npt.NDArray[np.bool_]) -> Tree:
    """The same tree with some of its rows only.

    Parameters
    ----------
    tree : Tree
        All rows.
    kept : ndarray of shape (n,), bool
        Which rows to keep, by their number.

    Returns
    -------
    Tree
        Node by node the same rows less those not kept; rows keep their numbers.
    """
    in_order = kept[tree.order]
    before = np.concatenate([[0], np.cumsum(in_order)])
    starts, stops = before[tree.starts], before[tree.stops]
    order = tree.order[in_order]
    low, high = np.full_like(tree.low, np.inf), np.full_like(tree.high, -np.inf)
    cells = np.empty(order.shape[0] * low.shape[1])
    kernels.keep(tree.cells, tree.starts, tree.stops, in_order, cells, low, high)
    return Tree(order, starts, stops, low, high, cells, tree.widest, tree.metric)


def nearest(tree: Tree, X: FloatArray) -> tuple[FloatArray, IntArray]:
    """The nearest row of each of some others.

    Parameters
    ----------
    tree : Tree
        At least one row.
    X : ndarray of shape (n, d), float64
        Finite.

    Returns
    -------
    reduced : ndarray of shape (n,), float64
        Reduced distances.
    rows : ndarray of shape (n,), int64
        Numbers of the tree's rows; of rows at the same distance the first.
    """
    reduced, rows = np.empty(X.shape[0]), np.empty(X.shape[0], dtype=np.int64)

    def work(start: int, stop: int) -> None:
        kernels.nearest_rows(tree.arrays, X[start:stop], reduced[start:stop], rows[start:stop])

    for_each_block(work, X.shape[0], QUERY_BLOCK_ROWS)
    return reduced, rows


def k_nearest(tree: Tree, k: int) -> tuple[FloatArray, npt.NDArray[np.int32]]:
    """The k nearest rows of each row of a whole tree, itself included.

    Parameters
    ----------
    tree : Tree
        All rows, numbered from 0.
    k : int
        From 1 to the number of rows.

    Returns
    -------
    reduced : ndarray of shape (n, k), float64
        Reduced distances, ascending.
    rows : ndarray of shape (n, k), int32
        Numbers of the rows: the largest array there is, so in half the space.
    """
    n_rows = tree.order.shape[0]
    reduced, rows = np.empty((n_rows, k)), np.empty((n_rows, k), dtype=np.int32)

    def work(start: int, stop: int) -> None:
        kernels.k_nearest_rows(tree.arrays, start, stop, reduced, rows)

    for_each_block(work, tree.n_leaves, max(1, QUERY_BLOCK_ROWS * tree.n_leaves // n_rows))
    return reduced, rows


def distances(reduced: FloatArray, metric: str) -> FloatArray:
    """Distances from reduced ones.

    Parameters
    ----------
    reduced : ndarray of float64
        Reduced distances.
    metric : str
        One of `METRICS`.

    Returns
    -------
    ndarray of the same shape, float64
        Distances.
    """
    return np.sqrt(reduced) if metric == "euclidean" else reduced
