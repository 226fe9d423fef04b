import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.inne import INNE
from tests import strategies


@settings(max_examples=60, deadline=None)
@given(strategies.many_rows(), st.sampled_from([2, 5, (2, 8, 32)]), st.booleans())
def test_what_is_out_of_reach_changes_no_bit(rows, max_samples, far_away):
    detector = INNE(n_estimators=15, max_samples=max_samples, random_state=0).fit(rows[: len(rows) // 2])
    judged = rows * 1e3 if far_away and np.abs(rows).max() < 1e200 else rows
    one_by_one = np.concatenate([detector.anomaly_score(judged[k : k + 1]) for k in range(len(judged))])
    np.testing.assert_array_equal(detector.anomaly_score(judged), one_by_one)


@pytest.mark.parametrize("n_features", [1, 4])
def test_the_largest_and_smallest_numbers_there_are(n_features):
    limits = np.finfo(np.float64)
    values = np.array([limits.max, -limits.max, limits.smallest_subnormal, 0.0, -0.0, 1.0])
    rows = np.random.default_rng(0).choice(values, (500, n_features))
    ordinary = np.random.default_rng(1).normal(size=(50, n_features))
    detector = INNE(n_estimators=10, max_samples=4, random_state=0).fit(ordinary)
    one_by_one = np.concatenate([detector.anomaly_score(rows[k : k + 1]) for k in range(len(rows))])
    np.testing.assert_array_equal(detector.anomaly_score(rows), one_by_one)
