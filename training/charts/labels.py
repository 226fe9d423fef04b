"""What labels tell: which rows were found, and what other thresholds would give."""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from training.charts.panels import ConfusionPanel, CurvePanel
from training.charts.reduce import along

CURVE_POINTS = 1_000

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def sorts(flagged: Bools, labels: Bools | None) -> dict[str, Bools]:
    """Which rows are marked, by sort.

    Parameters
    ----------
    flagged : ndarray of bool
        The verdicts.
    labels : ndarray of bool or None
        The truth, if it is known.

    Returns
    -------
    dict of str to ndarray of bool
        ``"anomaly"`` without labels; with them ``"found"``, ``"false alarm"`` and ``"missed"``.
    """
    if labels is None:
        return {"anomaly": flagged}
    return {"false alarm": flagged & ~labels, "missed": labels & ~flagged, "found": flagged & labels}


def judged(labels: Bools | None, scores: Floats, flagged: Bools) -> tuple[ConfusionPanel | CurvePanel, ...]:
    """Panels of what labels tell.

    Parameters
    ----------
    labels : ndarray of bool or None
        The truth.
    scores : ndarray of float64
        Of the same rows.
    flagged : ndarray of bool
        The verdicts.

    Returns
    -------
    tuple of panels
        The confusion matrix, and the curves that exist: neither does if all labels are the same. Empty without labels.
    """
    if labels is None:
        return ()
    counts = {name: int(np.count_nonzero(rows)) for name, rows in sorts(flagged, labels).items()}
    tp, fp, fn = counts["found"], counts["false alarm"], counts["missed"]
    tn = len(labels) - tp - fp - fn
    matrix = ConfusionPanel(tn=tn, fp=fp, fn=fn, tp=tp)
    if tp + fn == 0 or tn + fp == 0:
        return (matrix,)
    return (matrix, _precision_recall(labels, scores, matrix), _roc(labels, scores, matrix))


def _precision_recall(labels: Bools, scores: Floats, matrix: ConfusionPanel) -> CurvePanel:
    precision, recall, _ = precision_recall_curve(labels, scores)
    average = float(-np.sum(np.diff(recall) * precision[:-1]))
    chosen = along(recall, precision, CURVE_POINTS)
    flagged = matrix.tp + matrix.fp
    share = float(np.mean(labels))
    return CurvePanel(
        title=f"Precision and recall (AP {average:.3f})",
        x_title="recall",
        y_title="precision",
        x=recall[chosen],
        y=precision[chosen],
        at=(matrix.tp / (matrix.tp + matrix.fn), matrix.tp / flagged if flagged else 1.0),
        chance=((0.0, share), (1.0, share)),
    )


def _roc(labels: Bools, scores: Floats, matrix: ConfusionPanel) -> CurvePanel:
    alarms, recall, _ = roc_curve(labels, scores)
    chosen = along(alarms, recall, CURVE_POINTS)
    return CurvePanel(
        title=f"ROC (area {float(auc(alarms, recall)):.3f})",
        x_title="false positive rate",
        y_title="true positive rate (recall)",
        x=alarms[chosen],
        y=recall[chosen],
        at=(matrix.fp / (matrix.fp + matrix.tn), matrix.tp / (matrix.tp + matrix.fn)),
        chance=((0.0, 0.0), (1.0, 1.0)),
    )
