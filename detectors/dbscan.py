"""DBSCAN: rows with many others near them are core samples, rows near none of those are noise.

References
----------
.. [1] M. Ester, H.-P. Kriegel, J. Sander, X. Xu, "A density-based algorithm for discovering clusters in large spatial
   databases with noise", KDD 1996.
"""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval, StrOptions

from detectors import kdtree, neighbours, state
from detectors.base import FloatArray, IntArray, RowDetector
from detectors.critical_radius import choose_radius, critical_radii
from detectors.errors import InvalidState
from detectors.limits import THRESHOLD, limit_scores


class DBSCAN(RowDetector):
    """Density-based clustering; what is left over is an anomaly.

    A row is a core sample if at least `min_samples` rows, itself included, lie within `eps` of it. Core samples within
    `eps` of each other share a cluster, and a row within `eps` of a core sample belongs to the cluster of the nearest.
    Any other row is noise. Core samples, their clusters and noise are the same as scikit-learn's with
    ``algorithm="kd_tree"``.

    The score of a row is r / (1 + r), r being the distance to the nearest core sample in units of `eps`: at most 0.5
    for a row that belongs to a cluster.

    Parameters
    ----------
    eps : float or "auto"
        The radius of a neighbourhood, inclusive. "auto" takes it from the data, as `contamination` says.
    min_samples : int
        Rows in the neighbourhood of a core sample, itself included.
    metric : {"euclidean", "manhattan", "chebyshev"}
        How distances are measured.
    contamination : float or "auto"
        With ``eps="auto"``: the share of training rows, up to 0.5, to leave as noise, as near to it as a radius comes
        (rows that none tells apart are left together or not at all); or "auto" for the fence of
        `detectors.thresholds.auto_threshold` around the radii that rows need. Not used with a number for `eps`.

    Attributes
    ----------
    eps_ : float
        The radius in force.
    core_sample_indices_ : ndarray of shape (n_core,), int64
        Numbers of the core samples, ascending.
    components_ : ndarray of shape (n_core, n_features), float64
        The core samples.
    labels_ : ndarray of shape (n_rows,), int64
        The cluster of each training row, numbered in the order of their first core samples; -1 for noise.
    threshold_ : float
        0.5.

    Notes
    -----
    Where a training row's distance to a core sample equals `eps` but for rounding, scikit-learn's answer depends on its
    tree. `labels_` has that answer; `predict`, which judges new rows, compares the distance alone.

    Memory is a few copies of the rows; with ``eps="auto"`` also `min_samples` distances and numbers for each row.

    Examples
    --------
    >>> rows = [[1.0], [1.1], [1.2], [1.3], [9.0]]
    >>> detector = DBSCAN(eps=0.5, min_samples=3).fit(rows)
    >>> detector.labels_
    array([ 0,  0,  0,  0, -1])
    >>> detector.predict([[1.6], [5.0]])
    array([ 1, -1])
    """

    title = "DBSCAN"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "eps": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "min_samples": [Interval(Integral, 1, None, closed="left")],
        "metric": [StrOptions(set(kdtree.METRICS))],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
    }

    _state_schema: ClassVar[Mapping[str, state.Array | state.Scalar]] = {
        "eps_": state.Scalar(float, low=float(np.finfo(np.float64).smallest_subnormal)),
        "labels_": state.Array("int64", ("n_rows",), low=-1, high="n_core"),
        "core_sample_indices_": state.Array("int64", ("n_core",), low=0, high="n_rows"),
        "components_": state.Array("float64", ("n_core", "n_features_in_")),
    }

    eps_: float
    core_sample_indices_: IntArray
    components_: FloatArray
    labels_: IntArray
    _cores: "_LazyTree"
    _reached: FloatArray | None

    def __init__(
        self,
        eps: float | str = "auto",
        min_samples: int = 5,
        metric: str = "euclidean",
        contamination: float | str = "auto",
    ) -> None:
        self.eps = eps
        self.min_samples = min_samples
        self.metric = metric
        self.contamination = contamination

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Cluster the training rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Training rows.
        y : ignored
            There for scikit-learn's pipelines.

        Returns
        -------
        self
            The detector, fitted.

        Raises
        ------
        ValueError
            For a parameter out of its range, or for rows that are not finite numbers in two dimensions.
        """
        self._validate_params()
        rows = self._training_rows(X)
        tree = kdtree.build(rows, self.metric)
        if self.eps == "auto":
            radii = critical_radii(tree, self.metric, [int(self.min_samples)])[0]
            self.eps_ = choose_radius(radii, self.contamination, rows)
        else:
            self.eps_ = float(self.eps)
        radius = neighbours.Radius.of(self.eps_, tree)
        is_core = neighbours.core_rows(tree, radius, int(self.min_samples))
        self.core_sample_indices_ = np.flatnonzero(is_core)
        self.threshold_ = THRESHOLD
        self.labels_ = np.full(rows.shape[0], -1, dtype=np.int64)
        self._cores, self._reached = _LazyTree(), None
        if self.core_sample_indices_.size:
            cores = kdtree.part_of(tree, is_core)
            tree = replace(tree, cells=np.empty(0))  # from here on its shape is enough
            self._label_cores(tree, cores, radius)
            self._reached = self._label_borders(tree, cores, radius, rows, np.flatnonzero(~is_core))
            del tree, cores  # whoever only fits and saves should not need memory for them at the same time
        self.components_ = rows[self.core_sample_indices_]
        return self

    def _label_cores(self, tree: kdtree.Tree, cores: kdtree.Tree, radius: neighbours.Radius) -> None:
        roots, one_way = neighbours.components(tree, cores, radius)
        # A component's root is its first row, so their order is the order of first core samples.
        core_roots = roots[self.core_sample_indices_]
        firsts = self.core_sample_indices_[core_roots == self.core_sample_indices_]
        numbers = np.arange(firsts.shape[0])
        if one_way.size:
            arcs = np.unique(np.searchsorted(firsts, roots[one_way]), axis=0)
            numbers = _follow(arcs, firsts.shape[0])
        self.labels_[firsts] = numbers
        self.labels_[self.core_sample_indices_] = self.labels_[core_roots]

    def _label_borders(
        self, tree: kdtree.Tree, cores: kdtree.Tree, radius: neighbours.Radius, rows: FloatArray, others: IntArray
    ) -> FloatArray:
        """Give the rows that a core sample reaches its label; how far it is, reduced, from each of the others."""
        if not others.size:
            return np.empty(0)
        reduced, nearest = kdtree.nearest(cores, rows[others])
        border = reduced <= radius.surely
        doubtful = np.flatnonzero((reduced > radius.surely) & (reduced <= radius.hardly))
        border[doubtful] = neighbours.reached_rows(tree, cores, radius, others[doubtful], rows)
        self.labels_[others[border]] = self.labels_[nearest[border]]
        return reduced

    def _restore(self) -> None:
        indices = self.core_sample_indices_
        if (np.diff(indices) <= 0).any() or (self.labels_[indices] < 0).any():
            raise InvalidState("core_sample_indices_ are not the numbers of core samples")
        self._cores, self._reached = _LazyTree(), None

    def _tree(self) -> kdtree.Tree | None:
        """The tree of core samples, built when it is first asked for."""
        if self._cores.tree is None and self.core_sample_indices_.size:
            self._cores.tree = kdtree.build(self.components_, self.metric)
        return self._cores.tree

    def _nearest(self, X: FloatArray) -> tuple[FloatArray, IntArray]:
        """Distances to the nearest core sample, above `eps_` iff beyond it, and which it is (-1 if there is none)."""
        cores = self._tree()
        if cores is None:
            return np.full(X.shape[0], np.inf), np.full(X.shape[0], -1)
        reduced, nearest = kdtree.nearest(cores, X)
        return self._distances(reduced), nearest

    def _distances(self, reduced: FloatArray) -> FloatArray:
        distances = kdtree.distances(reduced, self.metric)
        limit = self.eps_ * self.eps_ if self.metric == "euclidean" else self.eps_
        # The verdict compares reduced distances, as fitting does; their root must not contradict it.
        within = np.minimum(distances, self.eps_)
        beyond = np.maximum(distances, np.nextafter(self.eps_, np.inf))
        return np.where(reduced <= limit, within, beyond)

    def anomaly_score(self, X: npt.ArrayLike) -> FloatArray:
        """How far each row is from the nearest core sample.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to judge.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            In [0, 1]: 0 for a core sample, at most 0.5 within `eps_` of one, 1 where there is none at all.
        """
        return limit_scores(self._nearest(self._rows(X))[0], self.eps_)

    def training_scores(self, X: npt.ArrayLike, rows: IntArray | None = None) -> FloatArray:
        """What `anomaly_score` says of the rows it was fitted on: fitting has found the distances of all of them.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            The very rows given to `fit`.
        rows : ndarray of int64, optional
            Only these of them.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            The same bits.

        Raises
        ------
        ValueError
            For another number of rows.
        """
        given = self._rows(X)
        if given.shape[0] != self.labels_.shape[0]:
            raise ValueError(f"DBSCAN was fitted on {self.labels_.shape[0]} rows, these are {given.shape[0]}")
        if self._reached is None:  # read from a file
            return super().training_scores(given, rows)
        scores = np.zeros(given.shape[0])
        others = np.ones(given.shape[0], bool)
        others[self.core_sample_indices_] = False
        scores[others] = limit_scores(self._distances(self._reached), self.eps_)
        return scores if rows is None else scores[rows]

    def assign(self, X: npt.ArrayLike) -> IntArray:
        """The cluster each row belongs to: that of its nearest core sample.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to judge.

        Returns
        -------
        ndarray of shape (n_rows,), int64
            -1 for noise.
        """
        distances, nearest = self._nearest(self._rows(X))
        clusters = np.full(distances.shape[0], -1, dtype=np.int64)
        within = distances <= self.eps_
        clusters[within] = self.labels_[self.core_sample_indices_[nearest[within]]]
        return clusters

    def feature_contributions(self, X: npt.ArrayLike) -> FloatArray:
        """Each feature's share of the distance to the nearest core sample, squared for the Euclidean metric.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to explain.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
            A row adds up to 1, or is all 0 where it equals a core sample or there is none. With the Chebyshev metric
            the features that differ most share it.
        """
        rows = self._rows(X)
        if not self.core_sample_indices_.size:
            return np.zeros(rows.shape)
        nearest = self._nearest(rows)[1]
        differences = np.abs(0.5 * rows - 0.5 * self.components_[nearest])  # halves cannot overflow
        largest = differences.max(axis=1, keepdims=True)
        shares: FloatArray = np.zeros_like(differences)
        np.divide(differences, largest, out=shares, where=largest > 0.0)
        if self.metric == "euclidean":
            shares *= shares
        elif self.metric == "chebyshev":
            shares[shares < 1.0] = 0.0
        total = shares.sum(axis=1, keepdims=True)
        np.divide(shares, total, out=shares, where=total > 0.0)
        return shares


class _LazyTree:
    """Holds the tree once it is built: predicting leaves the detector's attributes as they are."""

    tree: kdtree.Tree | None = None


def _follow(arcs: IntArray, n_components: int) -> IntArray:
    """Number components in order, taking those that one-way arcs lead to along with the first that does."""
    clusters = np.full(n_components, -1, dtype=np.int64)
    ends = np.searchsorted(arcs[:, 0], np.arange(n_components + 1))
    n_clusters = 0
    for first in range(n_components):
        if clusters[first] >= 0:
            continue
        stack = [first]
        while stack:
            component = stack.pop()
            if clusters[component] < 0:
                clusters[component] = n_clusters
                stack.extend(arcs[ends[component] : ends[component + 1], 1].tolist())
        n_clusters += 1
    return clusters
