"""Fewer points that look the same: what makes a million rows fit into a page."""

from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

LARGEST = 1e307
"""As far as axes reach: of larger values the distance may be infinite, and no marks can be put along it."""


def within_reach(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Move values that no axis reaches to its end.

    Parameters
    ----------
    values : ndarray of float64
        Of any size; NaN and infinity stand for something else, and stay.

    Returns
    -------
    ndarray of float64
        Those from -1e307 to 1e307 as they were.
    """
    return np.where(np.isfinite(values), np.clip(values, -LARGEST, LARGEST), values)


def out_of_reach(values: npt.NDArray[np.float64]) -> list[str]:
    """Whether `within_reach` moves any, in words.

    Parameters
    ----------
    values : ndarray of float64
        As for `within_reach`.

    Returns
    -------
    list of str
        Empty if it moves none.
    """
    sizes = np.abs(values)
    moved = ((sizes > LARGEST) & (sizes < np.inf)).any()
    return [f"What lies beyond ±{LARGEST:g} is drawn there."] if moved else []


def visible(x: npt.NDArray[Any] | None, y: npt.NDArray[np.float64], count: int) -> Indices:
    """Choose points that keep the shape of a line, its spikes included (MinMaxLTTB).

    Parameters
    ----------
    x : ndarray of shape (n,) or None
        Where the points are, in order; None if evenly spaced.
    y : ndarray of shape (n,), float64
        NaN is never chosen.
    count : int
        How many to choose at most.

    Returns
    -------
    ndarray of int64
        In order.
    """
    known = np.isfinite(y)
    if known.all():
        return _downsampled(x, y, count)
    indices = np.flatnonzero(known)
    chosen = _downsampled(indices if x is None else x[indices], y[indices], count)
    return indices[chosen]


def _downsampled(x: npt.NDArray[Any] | None, y: npt.NDArray[np.float64], count: int) -> Indices:
    if len(y) <= count:
        return np.arange(len(y))
    import tsdownsample

    sampler: Any = tsdownsample.MinMaxLTTBDownsampler
    series = [] if x is None else [np.ascontiguousarray(x.astype(np.int64, copy=False))]
    chosen = sampler().downsample(*series, np.ascontiguousarray(y, dtype=np.float64), n_out=count)
    return np.asarray(chosen, dtype=np.int64)


def gaps(y: npt.NDArray[np.float64], chosen: Indices) -> Indices:
    """Where a line through chosen points is to be interrupted: most of what is between two of them is missing.

    Parameters
    ----------
    y : ndarray of shape (n,), float64
        All values.
    chosen : ndarray of int64
        The points of the line, in order.

    Returns
    -------
    ndarray of int64
        Positions in `chosen` before which to interrupt it.
    """
    missing = ~np.isfinite(y)
    if not missing.any():
        return np.empty(0, np.int64)
    before = np.cumsum(missing)
    return np.flatnonzero(2 * np.diff(before[chosen]) > np.diff(chosen)) + 1


def strongest(flagged: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64], count: int) -> Indices:
    """All flagged rows, or if they are too many to draw, the highest of each of `count` stretches of rows.

    Parameters
    ----------
    flagged : ndarray of shape (n,), bool
        Which rows are meant.
    scores : ndarray of shape (n,), float64
        What "highest" means.
    count : int
        How many can be drawn.

    Returns
    -------
    ndarray of int64
        In order.
    """
    rows = np.flatnonzero(flagged)
    if len(rows) <= count:
        return rows
    stretch = rows * count // len(flagged)
    order = np.lexsort((scores[rows], stretch))  # by stretch, the highest of each last
    last = np.append(np.diff(stretch[order]) > 0, True)
    chosen: Indices = rows[order[last]]
    return chosen


def along(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], count: int) -> Indices:
    """Choose points evenly spaced along a curve in the unit square, both ends among them.

    Parameters
    ----------
    x, y : ndarray of shape (n,), float64
        The curve.
    count : int
        How many to choose at most.

    Returns
    -------
    ndarray of int64
        In order.
    """
    if len(x) <= count:
        return np.arange(len(x))
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    return np.unique(np.append(np.searchsorted(way, np.linspace(0.0, way[-1], count - 1)), len(x) - 1))
