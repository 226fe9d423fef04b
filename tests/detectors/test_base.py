import pickle
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from detectors.base import _FEW_VALUES, Detector, RowDetector, _surely_finite
from detectors.errors import InvalidState
from detectors.state import Array
from tests import strategies


class Farthest(RowDetector):
    """The smallest detector there can be: far from the mean is anomalous. What a newcomer has to write."""

    title = "Farthest"
    _parameter_constraints: ClassVar = {"limit": [float]}
    _state_schema: ClassVar = {"mean_": Array("float64", ("n_features_in_",))}

    def __init__(self, limit=0.75):
        self.limit = limit

    def fit(self, X, y=None):
        self._validate_params()
        rows = self._training_rows(X)
        self.mean_ = rows.mean(axis=0)
        self.threshold_ = self.limit
        self._restore()
        return self

    def _restore(self):
        self._sum = self.mean_.sum()

    def anomaly_score(self, X):
        distances = np.abs(self._rows(X) - self.mean_).sum(axis=1)
        return distances / (1.0 + distances)

    def feature_contributions(self, X):
        parts = np.abs(self._rows(X) - self.mean_)
        total = parts.sum(axis=1, keepdims=True)
        return np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)


@parametrize_with_checks([Farthest()])
def test_a_detector_of_a_few_lines_passes_scikit_learn_s_checks(estimator, check):
    check(estimator)


def test_a_detector_that_lacks_something_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        Detector()


def test_what_is_derived_is_rebuilt_and_not_kept():
    detector = Farthest().fit([[1.0, 2.0], [3.0, 4.0]])
    assert set(detector.__getstate__()) == {"limit", "mean_", "threshold_", "n_features_in_"}
    assert pickle.loads(pickle.dumps(detector))._sum == detector._sum


def test_a_state_is_checked_before_anything_of_it_is_used():
    detector = Farthest().fit([[1.0, 2.0], [3.0, 4.0]])
    encoded = detector.__getstate__()
    for wrong in ({**encoded, "limit": "high"}, {**encoded, "mean_": ("array", "<f8", (1,), b"\0" * 8)}):
        twin = Farthest()
        with pytest.raises(InvalidState):
            twin.__setstate__(wrong)
        assert "_sum" not in vars(twin)


@given(strategies.rows(min_rows=1))
def test_rows_that_need_no_validation_are_taken_as_they_are(rows):
    detector = Farthest().fit(np.zeros((3, rows.shape[1])))
    assert detector._rows(rows) is rows
    np.testing.assert_array_equal(detector._rows(rows.tolist()), rows)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n_rows", [1, 10, _FEW_VALUES])
def test_numbers_that_are_not_finite_are_found_anywhere(bad, n_rows):
    detector = Farthest().fit(np.zeros((3, 2)))
    for place in (0, n_rows - 1):
        rows = np.ones((n_rows, 2))
        rows[place, 1] = bad
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            detector.anomaly_score(rows)


@given(st.integers(0, 2**32 - 1))
def test_a_sum_that_overflows_is_not_taken_for_infinity(seed):
    largest = np.finfo(np.float64).max
    rows = np.random.RandomState(seed).choice([largest, -largest, 1.0], (_FEW_VALUES, 2))
    detector = Farthest().fit(np.zeros((3, 2)))
    assert _surely_finite(rows[:8])
    np.testing.assert_array_equal(detector._rows(rows), rows)


def test_names_are_compared_whenever_there_are_any():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    detector = Farthest().fit(frame)
    with pytest.warns(UserWarning, match="feature names"):
        detector.predict(frame.to_numpy())
    with pytest.raises(ValueError, match="feature names"):
        detector.predict(frame[["b", "a"]])
