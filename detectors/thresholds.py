"""Where the line between normal and anomalous is drawn on training scores when nobody drew it."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


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


def auto_threshold(scores: FloatArray) -> float:
    """The threshold of ``contamination="auto"``: the upper quartile plus 1.5 times the distance between the quartiles.

    Parameters
    ----------
    scores : ndarray of shape (n,), float64
        Training scores.

    Returns
    -------
    float
        Tukey's upper fence.
    """
    lower, upper = np.quantile(scores, [0.25, 0.75])
    return float(upper + 1.5 * (upper - lower))
