"""One neighbour query answers DBSCAN for every radius and every `min_samples`.

With cd_m(j) the distance from row j to its m-th nearest row and kNN_m(i) the m nearest rows of i, a row itself
included, let

    b_m(i) = min over j in kNN_m(i) of max(d(i, j), cd_m(j))

Row i is noise at (eps, m) iff b_m(i) > eps. It is noise iff no row within eps of it has m rows within eps. If i has
that many, one of its m nearest has: itself, or a copy of it. If not, all rows within eps are among its m nearest.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from detectors.kdtree import Tree, distances, k_nearest
from detectors.kernels import kernel
from detectors.thresholds import auto_threshold, contamination_threshold, one_dimension_threshold

FloatArray = npt.NDArray[np.float64]

_GAP = 1e-12
"""Radii nearer to each other than this, relatively, are taken for the same: their difference may be rounding."""

SMALLEST_RADIUS = float(np.sqrt(np.finfo(np.float64).tiny))
"""The smallest radius whose square is a normal number: what is left where all rows coincide."""


def critical_radii(tree: Tree, metric: str, min_samples: Sequence[int]) -> FloatArray:
    """The radius up to which each row is noise, for several `min_samples` at once.

    Parameters
    ----------
    tree : Tree
        All rows.
    metric : str
        The tree's.
    min_samples : sequence of int
        Each at least 1.

    Returns
    -------
    ndarray of shape (len(min_samples), n), float64
        b_m(i): row i is noise iff ``eps < b_m(i)``. Infinite where m exceeds the number of rows.
    """
    n_rows = tree.order.shape[0]
    radii = np.full((len(min_samples), n_rows), np.inf)
    possible = [m for m in min_samples if m <= n_rows]
    if possible:
        reduced, rows = k_nearest(tree, max(possible))
        for place, m in enumerate(min_samples):
            if m <= n_rows:
                _critical(reduced, rows, m, radii[place])
    return distances(radii, metric)


@kernel
def _critical(reduced, rows, m, radii):  # type: ignore[no-untyped-def]
    for row in range(rows.shape[0]):
        best = np.inf
        for place in range(m):
            best = min(best, max(reduced[row, place], reduced[rows[row, place], m - 1]))
        radii[row] = best


def boundaries(radii: FloatArray) -> FloatArray:
    """The radii that tell apart what can be told apart: the midpoints between distinct critical radii.

    Parameters
    ----------
    radii : ndarray of shape (n,), float64
        Critical radii for one `min_samples`.

    Returns
    -------
    ndarray of float64
        Positive, ascending. Below the first are all rows that are not noise at every radius.
    """
    values = np.unique(np.concatenate([[0.0], radii[np.isfinite(radii)]]))
    lower, upper = values[:-1], values[1:]
    middle = lower + 0.5 * (upper - lower)
    proper: FloatArray = middle[(upper - lower > _GAP * upper) & (middle >= SMALLEST_RADIUS)]
    return proper


def choose_radius(radii: FloatArray, contamination: float | str, rows: FloatArray) -> float:
    """A radius without labels.

    Parameters
    ----------
    radii : ndarray of shape (n,), float64
        Critical radii for one `min_samples`.
    contamination : float or "auto"
        The share of rows to leave as noise. Rows of equal critical radius are left together or not at all, whichever
        comes nearer to it. "auto" leaves those whose critical radius is far above the others'.
    rows : ndarray of shape (n, d), float64
        The rows themselves; looked at where they have a single feature.

    Returns
    -------
    float
        Positive; halfway between two distinct critical radii where any row is left as noise.
    """
    if (
        not np.isfinite(radii).all() or radii.max() < SMALLEST_RADIUS
    ):  # fewer rows than min_samples, or all rows coincide
        return SMALLEST_RADIUS
    limit = _automatic(radii, rows) if contamination == "auto" else _of_share(radii, float(contamination))
    above = radii[radii > limit]
    if above.size == 0:
        return max(limit, float(radii.max()) * (1.0 + _GAP))
    lower, upper = float(radii[radii <= limit].max()), float(above.min())
    return max(lower + 0.5 * (upper - lower), SMALLEST_RADIUS)


def _automatic(radii: FloatArray, rows: FloatArray) -> float:
    limit = one_dimension_threshold(rows[:, 0], radii) if rows.shape[1] == 1 else None
    return auto_threshold(radii, "distance") if limit is None else limit


def _of_share(radii: FloatArray, share: float) -> float:
    limit = contamination_threshold(radii, share)
    wanted, left = share * len(radii), int((radii > limit).sum())
    if left >= int(wanted + 0.5):
        return limit
    tied = radii[radii <= limit].max()  # the largest that is not left; with its equals it would be too many
    below = radii[radii < tied * (1.0 - _GAP)]
    more = len(radii) - len(below)
    return float(below.max()) if len(below) and more - wanted < wanted - left else limit
