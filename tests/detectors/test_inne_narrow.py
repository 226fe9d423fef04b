import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import inne_few, inne_narrow, inne_order
from detectors import inne_kernels as kernels
from detectors.inne import _FEW_ROWS, INNE
from tests import strategies
from tests.detectors import reference_inne as reference

BLOCK = 64 * inne_order.GROUP


def by_the_general_kernel(detector: INNE, rows: np.ndarray) -> np.ndarray:
    scores = np.empty(len(rows))
    kernels.score_rows(rows, detector._balls, False, scores)
    return scores


def one_by_one(detector: INNE, rows: np.ndarray) -> np.ndarray:
    scores = np.empty(len(rows))
    inne_few.score_rows(rows, scores, *detector._narrow)
    return scores


@settings(max_examples=100, deadline=None)
@given(strategies.many_rows(), st.sampled_from([2, 3, 5, 17, 64, 300, (2, 8, 32)]), st.integers(1, 9), st.booleans())
def test_what_is_out_of_reach_changes_no_bit(rows, max_samples, n_estimators, far_away):
    detector = INNE(n_estimators, max_samples, random_state=0).fit(rows[: len(rows) // 2])
    judged = rows * 1e3 if far_away and np.abs(rows).max() < 1e200 else rows
    found = detector.anomaly_score(judged)
    np.testing.assert_array_equal(found, by_the_general_kernel(detector, judged))
    np.testing.assert_array_equal(found, one_by_one(detector, judged))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.sampled_from([2, 4, 32]),
    st.sampled_from([0.0, 2.0**-52, 2.0**-40, 2.0**-30, 2.0**-26, 2.0**-24, 2.0**-22, 2.0**-18]),
    st.sampled_from([0.0, 1.0, 100.0, 1e5]),
)
def test_a_row_a_hair_from_the_surface_of_a_ball_is_judged_as_in_64_bits(
    seed, n_features, max_samples, hair, far_from_zero
):
    random = np.random.default_rng(seed)
    training = random.normal(size=(200, n_features)) + far_from_zero
    detector = INNE(8, max_samples, random_state=0).fit(training)
    balls = detector._balls
    chosen = random.integers(0, len(balls.squares), 400)
    directions = random.normal(size=(400, n_features))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radii = np.sqrt(balls.squares[chosen, None]) / balls.scale * (1.0 + hair * random.choice([-1, 1], (400, 1)))
    rows = balls.centres[chosen, :n_features] / balls.scale + directions * radii
    expected = by_the_general_kernel(detector, rows)
    np.testing.assert_array_equal(detector.anomaly_score(rows), expected)
    np.testing.assert_array_equal(one_by_one(detector, rows), expected)


def test_training_rows_lie_on_the_surfaces_of_balls_and_are_covered():
    rows = np.random.default_rng(0).normal(size=(300, 4))
    detector = INNE(20, 100, random_state=0).fit(rows)
    np.testing.assert_allclose(
        detector.anomaly_score(rows), reference.anomaly_score(detector, rows), rtol=0, atol=1e-12
    )
    np.testing.assert_array_equal(detector.anomaly_score(rows), by_the_general_kernel(detector, rows))


@pytest.mark.parametrize("n_rows", [33, 48, 49, 257, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
@pytest.mark.parametrize("n_features", [1, 2, 3, 4])
def test_whole_blocks_and_parts_of_one(n_rows, n_features):
    rows = np.random.default_rng(n_rows).normal(size=(n_rows, n_features))
    detector = INNE(7, (2, 3, 40), random_state=0).fit(rows)
    np.testing.assert_array_equal(detector.anomaly_score(rows), by_the_general_kernel(detector, rows))


def test_more_rows_than_are_put_in_order_at_once():
    rows = np.random.default_rng(0).normal(size=(inne_order.MOST_ROWS + 1000, 2))
    detector = INNE(3, 8, random_state=0).fit(rows)
    scores = np.empty(len(rows))
    detector._score_block(rows, scores)
    np.testing.assert_array_equal(scores, by_the_general_kernel(detector, rows))


@pytest.mark.parametrize("n_rows", [1, _FEW_ROWS, _FEW_ROWS + 1])
def test_few_rows(n_rows):
    rows = np.random.default_rng(n_rows).normal(size=(200, 3))
    detector = INNE(7, (2, 3, 40), random_state=0).fit(rows)
    np.testing.assert_array_equal(detector.anomaly_score(rows[:n_rows]), by_the_general_kernel(detector, rows[:n_rows]))


def test_a_sample_may_be_larger_than_a_rank_can_tell(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(500, 3))
    plain = INNE(4, 100, random_state=0).fit(rows).anomaly_score(rows)
    monkeypatch.setattr(inne_narrow, "MOST_BALLS", 99)
    np.testing.assert_array_equal(INNE(4, 100, random_state=0).fit(rows).anomaly_score(rows), plain)


def test_the_largest_sample_of_which_a_rank_can_tell():
    rows = np.random.default_rng(0).normal(size=(inne_narrow.MOST_BALLS, 1))
    detector = INNE(1, inne_narrow.MOST_BALLS, random_state=0).fit(rows)
    some = np.random.default_rng(1).normal(size=(100, 1))
    np.testing.assert_array_equal(detector.anomaly_score(some), by_the_general_kernel(detector, some))


@pytest.mark.parametrize("n_features", [1, 4])
def test_the_largest_and_smallest_numbers_there_are(n_features):
    limits = np.finfo(np.float64)
    values = np.array([limits.max, -limits.max, limits.smallest_subnormal, 0.0, -0.0, 1.0])
    rows = np.random.default_rng(0).choice(values, (500, n_features))
    ordinary = np.random.default_rng(1).normal(size=(50, n_features))
    for training in (ordinary, ordinary * 2.0**-1000, ordinary * 2.0**1000, rows, np.zeros((50, n_features))):
        detector = INNE(10, 4, random_state=0).fit(training)
        np.testing.assert_array_equal(detector.anomaly_score(rows), by_the_general_kernel(detector, rows))
        np.testing.assert_array_equal(detector.anomaly_score(rows), one_by_one(detector, rows))
