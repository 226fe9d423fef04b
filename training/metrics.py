"""How well scores and verdicts agree with labels."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score


def evaluate(labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], threshold: float) -> dict[str, Any]:
    """Judge scores by labels.

    Parameters
    ----------
    labels : ndarray of int64
        1 = anomaly, 0 = not.
    scores : ndarray of float64
        Anomaly scores; a row is flagged iff its score is above the threshold.
    threshold : float
        The detector's.

    Returns
    -------
    dict
        Plain JSON values: precision, recall, f1, accuracy, specificity, roc_auc, average_precision, confusion_matrix
        (``{"tn", "fp", "fn", "tp"}``), threshold, n_rows, n_anomalies (labelled), n_flagged. What has no value, such as
        the area under a curve where all labels are the same or the precision of nothing flagged, is None.
    """
    flagged = (scores > threshold).astype(np.int64)
    tn, fp, fn, tp = (int(count) for count in confusion_matrix(labels, flagged, labels=[0, 1]).ravel())
    both = 0 < labels.sum() < len(labels)
    return {
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
        "accuracy": _share(tp + tn, len(labels)),
        "specificity": _share(tn, tn + fp),
        "roc_auc": float(roc_auc_score(labels, scores)) if both else None,
        "average_precision": float(average_precision_score(labels, scores)) if labels.any() else None,
        "confusion_matrix": {"tn": tn, "fp": fp, "fn": fn, "tp": tp},
        "threshold": float(threshold),
        "n_rows": len(labels),
        "n_anomalies": int(labels.sum()),
        "n_flagged": int(flagged.sum()),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
