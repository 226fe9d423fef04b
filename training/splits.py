"""Which labels to hold out: folds for cross-validation."""

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

FOLDS = 5
"""How many folds there are, where the labels are enough."""

IntArray = npt.NDArray[np.int64]


def stratified(labels: IntArray, seed: int, n_folds: int = FOLDS) -> IntArray | None:
    """Folds of rows that stand alone: at random, with the same share of anomalies in each.

    Parameters
    ----------
    labels : ndarray of shape (n,), int64
        1 = anomaly, 0 = not.
    seed : int
        Of the random numbers.
    n_folds : int
        How many, at most: there are no more than rows of either label.

    Returns
    -------
    ndarray of shape (n,), int64, or None
        The fold of each row, from 0. None if one label has fewer than two rows.
    """
    fewest = int(np.bincount(labels, minlength=2).min())
    if fewest < 2:
        return None
    folds = np.empty(len(labels), dtype=np.int64)
    splits = StratifiedKFold(min(n_folds, fewest), shuffle=True, random_state=seed).split(labels, labels)
    for fold, (_, held_out) in enumerate(splits):
        folds[held_out] = fold
    return folds


def blocked(labels: IntArray, times: npt.NDArray[np.datetime64] | None, n_folds: int = FOLDS) -> IntArray | None:
    """Folds of a series: blocks that follow each other in time, for neighbours in time are alike.

    Parameters
    ----------
    labels : ndarray of shape (n,), int64
        1 = anomaly, 0 = not.
    times : ndarray of datetime64 or None
        When each row was measured; None if rows are in order.
    n_folds : int
        How many.

    Returns
    -------
    ndarray of shape (n,), int64, or None
        The fold of each row, from 0. None if no two folds have anomalies: then none can be learned in one and found in
        another.
    """
    place = np.empty(len(labels), dtype=np.int64)
    place[np.arange(len(labels)) if times is None else np.argsort(times, kind="stable")] = np.arange(len(labels))
    folds = place * n_folds // max(len(labels), 1)
    return folds if np.unique(folds[labels == 1]).size >= 2 else None
