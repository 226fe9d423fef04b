"""The score of detectors that know a limit: how far a row is from normal as a multiple of what is allowed.

With r that multiple, the score is r / (1 + r): 0.5 exactly at the limit. The verdict is a comparison, and the score
follows it, so rounding cannot contradict the verdict.
"""

import math

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel

FloatArray = npt.NDArray[np.float64]

THRESHOLD = 0.5
"""A row beyond its limit scores more than this, any other at most this."""

_JUST_ABOVE = math.nextafter(THRESHOLD, 1.0)


@kernel
def _score_band(values: FloatArray, low: float, mid: float, high: float, scores: FloatArray) -> None:
    for row in range(values.shape[0]):
        value = values[row]
        if not (value < mid or value > mid):  # at the middle, or NaN
            scores[row] = 0.0
            continue
        limit = high if value > mid else low
        if math.isinf(limit):
            scores[row] = 0.0
            continue
        allowed = abs(limit - mid)
        distance = abs(value - mid)
        if math.isinf(allowed) or math.isinf(distance):  # a difference may overflow; half of it cannot
            allowed = abs(0.5 * limit - 0.5 * mid)
            distance = abs(0.5 * value - 0.5 * mid)
        ratio = distance / allowed if allowed > 0.0 else math.inf
        score = 1.0 if math.isinf(ratio) else ratio / (1.0 + ratio)
        if value > high or value < low:
            scores[row] = max(score, _JUST_ABOVE)
        else:
            scores[row] = min(score, THRESHOLD)


@kernel
def judge_band(values: FloatArray, low: float, high: float, verdicts: npt.NDArray[np.int64]) -> None:
    """Judge values by a band.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        NaN is never outside.
    low, high : float
        The limits.
    verdicts : ndarray of shape (n,), int64
        Becomes -1 for what is strictly outside, +1 otherwise.
    """
    for row in range(values.shape[0]):
        verdicts[row] = -1 if (values[row] > high) | (values[row] < low) else 1


def band_scores(values: FloatArray, low: float, mid: float, high: float) -> FloatArray:
    """Score values against a band: above 0.5 iff strictly outside.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        NaN scores 0.
    low, high : float
        The limits, ``low <= high``; an infinite one leaves its side open, where everything scores 0.
    mid : float
        What scores 0, clipped to the band.

    Returns
    -------
    ndarray of shape (n,), float64
        In [0, 1]. Where a limit coincides with the middle, whatever is beyond it scores 1.

    Examples
    --------
    >>> band_scores(np.array([3.0, 4.0, 6.0, np.inf, np.nan]), low=0.0, mid=2.0, high=4.0)
    array([0.33333333, 0.5       , 0.66666667, 1.        , 0.        ])
    """
    scores = np.empty(values.shape[0])
    _score_band(values, float(low), float(min(max(mid, low), high)), float(high), scores)
    return scores


def limit_scores(distances: FloatArray, limit: float) -> FloatArray:
    """Score distances against the largest one allowed: above 0.5 iff strictly beyond.

    Parameters
    ----------
    distances : ndarray of shape (n,), float64
        Not negative; infinity scores 1, NaN 0.
    limit : float
        The largest distance that is normal.

    Returns
    -------
    ndarray of shape (n,), float64
        In [0, 1].

    Examples
    --------
    >>> limit_scores(np.array([0.0, 1.0, 3.0, np.inf]), limit=1.0)
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    return band_scores(distances, -math.inf, 0.0, limit)


def excess_shares(scores: FloatArray) -> FloatArray:
    """How much each of several scores of a row did to the largest of them.

    Parameters
    ----------
    scores : ndarray of shape (n, d), float64
        As `band_scores` gives them.

    Returns
    -------
    ndarray of shape (n, d), float64
        Shares of what is beyond the limits, as multiples of these; in a row within all limits, of the distances from
        the middle; all 0 where there is none.

    Examples
    --------
    >>> excess_shares(np.array([[0.75, 0.6], [0.5, 0.0], [0.0, 0.0]]))
    array([[0.8, 0.2],
           [1. , 0. ],
           [0. , 0. ]])
    """
    with np.errstate(divide="ignore"):
        multiples = scores / (1.0 - scores)
    flagged = (scores > THRESHOLD).any(axis=1, keepdims=True)
    parts = np.where(flagged, np.maximum(multiples - 1.0, 0.0), multiples)
    endless = np.isinf(parts)
    parts = np.where(endless.any(axis=1, keepdims=True), endless, parts)
    largest = parts.max(axis=1, keepdims=True)
    parts = parts / np.where(largest > 0.0, largest, 1.0)  # so that the sum cannot overflow
    shares: FloatArray = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1.0)
    return shares
