"""Where the line between normal and anomalous is drawn on training scores when nobody drew it."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

FENCE = 2.15
"""Of 1.5 to 3: flags few Gaussian rows (under 1 % in 2, 8 and 32 dimensions) and over 95 % of far ones among them."""

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


def auto_threshold(scores: FloatArray, *, bounded: bool = True) -> float:
    """The threshold of ``contamination="auto"``, for every kind of score: a fence above the bulk of training scores.

    Scores are taken as odds, ``s / (1 - s)``: of a graded score that is a distance in median radii. On their logarithms
    the fence is Tukey's, at the upper quartile plus `FENCE` times the distance between the quartiles. It is drawn again
    without what lies beyond it until nothing does, or the anomalies would widen it. Scores of 0 are copies of training
    rows; they say nothing about how far rows spread and are left out.

    Parameters
    ----------
    scores : ndarray of shape (n,), float64
        Training scores, not negative.
    bounded : bool, default=True
        Whether scores are in [0, 1]; otherwise they are distances, and taken as odds as they are.

    Returns
    -------
    float
        At least the largest score within the fence. 0 where there is no score above 0.

    Examples
    --------
    >>> auto_threshold(np.array([0.4, 0.45, 0.5, 0.5, 0.55, 0.6, 0.99])) < 0.99
    True
    """
    ordered = np.sort(scores[scores > 0.0])
    if ordered.size == 0:
        return 0.0
    with np.errstate(divide="ignore"):
        logs = np.log(ordered) - np.log1p(-ordered) if bounded else np.log(ordered)
    logs = np.minimum(logs, _LARGEST_LOG)
    while True:
        lower, upper = np.quantile(logs, [0.25, 0.75])
        fence = upper + FENCE * (upper - lower)
        inside = int(np.searchsorted(logs, fence, side="right"))
        if inside == len(logs):
            break
        logs = logs[:inside]
    with np.errstate(over="ignore"):
        threshold = 1.0 / (1.0 + np.exp(-fence)) if bounded else min(np.exp(fence), np.finfo(np.float64).max)
    return max(float(threshold), float(ordered[inside - 1]))  # the way there and back may have rounded below it
