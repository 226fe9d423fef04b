import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import inne_kernels as kernels
from detectors import inne_nearest
from detectors.inne import INNE
from tests import strategies
from tests.detectors import reference_inne as reference


def by_the_general_kernel(detector: INNE, rows: np.ndarray) -> np.ndarray:
    scores = np.empty(len(rows))
    kernels.score_rows(rows, detector._balls, True, scores)
    return scores


def one_by_one(detector: INNE, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([detector.anomaly_score(rows[k : k + 1]) for k in range(len(rows))])


@settings(max_examples=60, deadline=None)
@given(
    strategies.many_rows(max_features=9),
    st.sampled_from([2, 3, 4, 5, 9, (2, 8, 32)]),
    st.sampled_from([1, 2, 3, 4]),
    st.booleans(),
)
def test_four_centres_at_a_time_change_no_bit(rows, max_samples, max_features, far_away):
    width = min(max_features, rows.shape[1])
    detector = INNE(15, max_samples, width, "graded", random_state=0).fit(rows[: len(rows) // 2])
    judged = rows * 1e3 if far_away and np.abs(rows).max() < 1e200 else rows
    found = detector.anomaly_score(judged)
    np.testing.assert_array_equal(found, by_the_general_kernel(detector, judged))
    np.testing.assert_array_equal(found[:100], one_by_one(detector, judged[:100]))


@pytest.mark.parametrize("n_rows", [33, inne_nearest.BLOCK, inne_nearest.BLOCK + 1, 3 * inne_nearest.BLOCK - 1])
@pytest.mark.parametrize("max_features", [1, 2, 3, 4])
def test_whole_blocks_and_parts_of_one_agree_with_the_definition(n_rows, max_features):
    rows = np.random.default_rng(n_rows).normal(size=(n_rows, 6))
    detector = INNE(10, (2, 3, 7, 16), max_features, "graded", random_state=0).fit(rows)
    expected = reference.anomaly_score(detector, rows)
    np.testing.assert_allclose(detector.anomaly_score(rows), expected, rtol=0, atol=1e-12)


def test_the_largest_and_smallest_numbers_there_are():
    limits = np.finfo(np.float64)
    values = np.array([limits.max, -limits.max, limits.smallest_subnormal, 0.0, -0.0, 1.0])
    rows = np.random.default_rng(0).choice(values, (600, 3))
    ordinary = np.random.default_rng(1).normal(size=(50, 3))
    detector = INNE(10, 4, scoring="graded", random_state=0).fit(ordinary)
    np.testing.assert_array_equal(detector.anomaly_score(rows), one_by_one(detector, rows))
