"""What F1 to expect of a search on rows that nobody has labelled, and how sure that is.

The F1 on the labels that chose a limit claims too much, and so does the cross-validated F1 of the best of many
candidates: it is the best partly by luck. So the choice itself is cross-validated: for each fold the candidate is
chosen by the other folds alone, and judged on that one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from training.limits import HeldOut

FloatArray = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""How often the interval should hold the F1 on very many other rows.

The F1 on as many other rows as there were labels errs as much as the estimate: the interval holds it in 83 % only.
"""

_EQUAL = 1e-12


@dataclass(frozen=True)
class Expected:
    """An F1, and between what limits it is likely to be.

    Attributes
    ----------
    f1 : float
        Of verdicts on held-out rows, all folds together.
    low, high : float
        An interval of `CONFIDENCE`. F1 is 2 J / (1 + J), J being the share that are both among the rows labelled
        or flagged as anomalies; the interval is that of Clopper and Pearson for this share.
    """

    f1: float
    low: float
    high: float

    @classmethod
    def of(cls, n_found: float, n_flagged: float, n_anomalies: float) -> "Expected":
        """From counts of verdicts.

        Parameters
        ----------
        n_found : float
            Rows flagged rightly; not always whole, where several candidates are equally good.
        n_flagged, n_anomalies : float
            Rows flagged, and rows labelled; at least one of them is positive.
        """
        either = n_flagged + n_anomalies - n_found
        tail = (1.0 - CONFIDENCE) / 2.0
        missed = either - n_found
        low = 0.0 if n_found <= 0.0 else float(beta.ppf(tail, n_found, missed + 1.0))
        high = 1.0 if missed <= 0.0 else float(beta.ppf(1.0 - tail, n_found + 1.0, missed))
        return cls(_f1_of_share(n_found / either), _f1_of_share(low), _f1_of_share(high))


def merit(f1: float | FloatArray, f1_held_out: float | FloatArray | None) -> float | FloatArray:
    """What candidates are chosen by: the mean of the F1 on all labels and that on held-out ones.

    Parameters
    ----------
    f1 : float or ndarray
        On the labels that chose the limit.
    f1_held_out : float, ndarray or None
        On labels held out, where there are enough.

    Returns
    -------
    float or ndarray
        Higher is better. The first alone favours what is complex; the second alone is noisier.
    """
    return f1 if f1_held_out is None else (f1 + f1_held_out) / 2.0


def of_choice(candidates: Sequence[Sequence[HeldOut]]) -> Expected | None:
    """What to expect of the best of candidates, whose verdicts on held-out rows are known.

    Parameters
    ----------
    candidates : sequence of sequence of HeldOut
        For each candidate, fold by fold; the same folds for all.

    Returns
    -------
    Expected or None
        None where there are no folds.
    """
    n_folds = len(candidates[0])
    if n_folds == 0:
        return None
    f1 = np.array([[fold.f1 for fold in folds] for folds in candidates])
    found, flagged = (np.array([[getattr(fold, name) for fold in folds] for folds in candidates]) for name in _COUNTS)
    anomalies = np.array([fold.n_anomalies for fold in candidates[0]])
    counts = np.zeros(2)
    for fold in range(n_folds):
        others = np.arange(n_folds) != fold
        elsewhere = found[:, others].sum(axis=1)
        both = anomalies[others].sum() + flagged[:, others].sum(axis=1)
        merits = merit(f1[:, fold], 2.0 * elsewhere / np.maximum(both, 1))
        best = merits >= np.max(merits) - _EQUAL
        counts += found[best, fold].mean(), flagged[best, fold].mean()
    return Expected.of(float(counts[0]), float(counts[1]), float(anomalies.sum()))


_COUNTS = ("n_found", "n_flagged")


def _f1_of_share(share: float) -> float:
    return 2.0 * share / (1.0 + share)
