"""Where the line between normal and anomalous is drawn on training scores when nobody drew it."""

from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

Kind = Literal["graded", "isolation", "distance"]
"""What scores are: iNNE's graded ones, its isolation scores, or distances as DBSCAN's critical radii are."""

FENCE = 2.15
"""Interquartile ranges above the upper quartile: up to a quarter of far rows do not move it."""

STEP = {"graded": 1.0, "distance": 1.6}
"""How far above its upper decile the rest may reach, in units of that decile's distance from the median: on clean
Gaussian rows in 2, 8 and 32 dimensions 0.5 to 1.3 % of graded scores do not, and under 1.5 % of distances."""

ISOLATION_FENCE = 3.5
"""Isolation scores pile up at 1: with Tukey's own 3 for what is far out, a few in a hundred demos flag over 1 %."""

ONE_DIMENSION_FENCE = 2.0
"""Beyond are 0.07 % of Gaussian values."""

ONE_DIMENSION_SHARE = 0.99
"""All of them would let the few in the tails decide, whose scores are noisy: far rows would hide behind them."""

_LARGEST_LOG = 700.0  # exp() overflows just above; a score of 1 has infinite odds


def contamination_threshold(scores: FloatArray, share: float) -> float:
    """The threshold that flags a share of the scores.

    Parameters
    ----------
    scores : ndarray of shape (n,), float64
        Training scores; NaN is left out.
    share : float
        In (0, 0.5]. The number of scores it stands for is rounded to the nearest integer.

    Returns
    -------
    float
        Midway between the last score that is flagged and the first that is not, so that exactly that many scores lie
        above it, unless equal ones straddle the line: those are not flagged.

    Examples
    --------
    >>> contamination_threshold(np.array([0.1, 0.2, 0.3, 0.9]), 0.25)
    0.6
    """
    ordered = np.sort(scores[~np.isnan(scores)])
    flagged = min(int(share * len(ordered) + 0.5), len(ordered) - 1)
    if flagged == 0:
        return float(ordered[-1])
    below, above = ordered[-flagged - 1], ordered[-flagged]
    middle = below / 2 + above / 2
    return float(middle if below < middle < above else below)


def auto_threshold(scores: FloatArray, kind: Kind) -> float:
    """The threshold of ``contamination="auto"``: a fence above the bulk of training scores, a rule a kind of score.

    graded, distance
        On the logarithm, of a graded score of its odds ``s / (1 - s)``: that is a distance in median radii. First
        Tukey's fence, at the upper quartile plus `FENCE` interquartile ranges, sets aside what is far out. On the rest
        the fence is at the upper decile plus `STEP` times its distance from the median.
    isolation
        On ``-log(1 - s)``, Tukey's fence with `ISOLATION_FENCE`.

    A fence is drawn again without what lies beyond it until nothing does, or the anomalies would widen it. Scores of 0
    are copies of training rows; they say nothing about how far rows spread and are left out.

    Parameters
    ----------
    scores : ndarray of shape (n,), float64
        Training scores, not negative.
    kind : {"graded", "isolation", "distance"}
        What they are. The first two are in [0, 1].

    Returns
    -------
    float
        At least the largest score within the fence, and no less than the median: what is most of the rows is no
        anomaly. 0 where there is no score above 0.

    Examples
    --------
    >>> auto_threshold(np.array([0.4, 0.45, 0.5, 0.5, 0.55, 0.6, 0.99]), "graded") < 0.99
    True
    """
    ordered = np.sort(scores[scores > 0.0])
    if ordered.size == 0:
        return 0.0
    values = _spread_out(ordered, kind)
    if kind == "isolation":
        fence = _fence(values, 0.25, 0.75, ISOLATION_FENCE)
    else:
        outer = _fence(values, 0.25, 0.75, FENCE)
        fence = min(outer, _fence(values[values <= outer], 0.5, 0.9, STEP[kind]))
    inside = int(np.searchsorted(values, fence, side="right"))
    # the way there and back may have rounded below what is inside
    return max(_back(fence, kind), float(ordered[inside - 1]), float(ordered[(ordered.size - 1) // 2]))


def one_dimension_threshold(values: FloatArray, scores: FloatArray) -> float | None:
    """The threshold of ``contamination="auto"`` for a single feature, whose values say more than their scores do.

    Rows within Tukey's fences, `ONE_DIMENSION_FENCE` interquartile ranges from the quartiles of all values, are taken
    for normal, and the threshold is what `ONE_DIMENSION_SHARE` of their scores do not exceed.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        The feature.
    scores : ndarray of shape (n,), float64
        Training scores of the rows.

    Returns
    -------
    float or None
        A score; None where the quartiles are equal and there are no fences.

    Examples
    --------
    >>> one_dimension_threshold(np.array([1.0, 2.0, 3.0, 4.0, 90.0]), np.array([0.4, 0.4, 0.2, 0.4, 0.9]))
    0.4
    """
    scaled = values / max(float(np.abs(values).max()), np.finfo(np.float64).tiny)  # the difference cannot overflow
    lower, upper = np.quantile(scaled, [0.25, 0.75])
    if not lower < upper:
        return None
    reach = ONE_DIMENSION_FENCE * (upper - lower)
    within = scores[(scaled >= lower - reach) & (scaled <= upper + reach)]
    return float(np.quantile(within, ONE_DIMENSION_SHARE, method="lower"))


def _spread_out(scores: FloatArray, kind: Kind) -> FloatArray:
    """Scores on the scale on which their fence is drawn."""
    with np.errstate(divide="ignore"):
        if kind == "isolation":
            logs = -np.log1p(-scores)
        elif kind == "graded":
            logs = np.log(scores) - np.log1p(-scores)
        else:
            logs = np.log(scores)
    return np.minimum(logs, _LARGEST_LOG)


def _back(fence: float, kind: Kind) -> float:
    if kind == "isolation":
        return float(-np.expm1(-fence))
    with np.errstate(over="ignore"):
        if kind == "graded":
            return float(1.0 / (1.0 + np.exp(-fence)))
        return float(min(np.exp(fence), np.finfo(np.float64).max))


def _fence(ordered: FloatArray, low: float, high: float, factor: float) -> float:
    """The higher quantile plus a multiple of its distance from the lower one, of what is itself within the fence."""
    while True:
        lower, upper = np.quantile(ordered, [low, high])
        fence = float(upper + factor * (upper - lower))
        inside = int(np.searchsorted(ordered, fence, side="right"))
        if inside == len(ordered):
            return fence
        ordered = ordered[:inside]
