"""Metrics against hand-made counts."""

import json

import numpy as np
import pytest

from training.metrics import evaluate

LABELS = np.array([0, 0, 0, 0, 1, 1])
SCORES = np.array([0.1, 0.2, 0.6, 0.5, 0.9, 0.3])


def test_counts_and_what_follows_from_them() -> None:
    found = evaluate(LABELS, SCORES, 0.5)
    assert found["confusion_matrix"] == {"tn": 3, "fp": 1, "fn": 1, "tp": 1}
    assert found["precision"] == 0.5
    assert found["recall"] == 0.5
    assert found["f1"] == 0.5
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["specificity"] == 0.75
    assert found["roc_auc"] == pytest.approx(6 / 8)
    assert (found["n_rows"], found["n_anomalies"], found["n_flagged"], found["threshold"]) == (6, 2, 2, 0.5)
    json.dumps(found, allow_nan=False)


def test_a_score_at_the_threshold_is_not_flagged() -> None:
    assert evaluate(LABELS, np.full(6, 0.5), 0.5)["n_flagged"] == 0


def test_nothing_flagged_has_no_precision() -> None:
    found = evaluate(LABELS, SCORES, 0.95)
    assert (found["precision"], found["recall"], found["f1"]) == (None, 0.0, 0.0)
    nothing = evaluate(np.zeros(6, np.int64), SCORES, 0.95)
    assert (nothing["precision"], nothing["recall"], nothing["f1"], nothing["accuracy"]) == (None, None, None, 1.0)


@pytest.mark.parametrize(("label", "specificity", "average_precision"), [(0, 5 / 6, None), (1, None, 1.0)])
def test_labels_all_the_same(label: int, specificity: float | None, average_precision: float | None) -> None:
    found = evaluate(np.full(6, label), SCORES, 0.6)
    assert found["roc_auc"] is None
    assert found["specificity"] == (None if specificity is None else pytest.approx(specificity))
    assert found["average_precision"] == average_precision
