import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from training.limits import Ranked, held_out_f1


def best_by_trying(values, labels, lowest):
    limits = [lowest, *(value for value in np.unique(values) if value >= lowest and np.isfinite(value))]
    return max(f1_score(labels, values > limit, zero_division=0.0) for limit in limits)


@st.composite
def labelled(draw):
    n = draw(st.integers(1, 40))
    number = st.one_of(st.integers(-3, 12).map(float), st.floats(0, 10), st.sampled_from([np.inf, -np.inf]))
    values = np.array(draw(st.lists(number, min_size=n, max_size=n)))
    labels = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    return values, labels


@settings(max_examples=400, deadline=None)
@given(labelled())
def test_no_limit_is_better(case):
    values, labels = case
    best = Ranked.of(values, labels, None, 0.0).best()
    assert best.value >= 0.0
    assert best.f1 == pytest.approx(f1_score(labels, values > best.value, zero_division=0.0), abs=1e-12)
    close = np.diff(np.unique(values[np.isfinite(values)]))
    if not (close < 1e-9).any():  # values that near are not told apart, on purpose
        assert best.f1 == pytest.approx(best_by_trying(values, labels, 0.0), abs=1e-12)


def test_the_limit_is_halfway_between_two_values():
    best = Ranked.of(np.array([1.0, 2.0, 4.0, 6.0]), np.array([0, 0, 1, 1]), None, 0.0).best()
    assert (best.value, best.f1, best.margin) == (3.0, 1.0, 0.5)


def test_values_apart_by_rounding_stay_together():
    values = np.array([1.0, np.nextafter(1.0, 2.0), 0.1])
    best = Ranked.of(values, np.array([0, 1, 0]), None, 0.0).best()
    assert (values > best.value).tolist() == [True, True, False]


def test_held_out_labels_do_not_choose_their_limit():
    values = np.array([9.0, 1.0, 5.0, 1.0])
    labels = np.array([1, 0, 1, 0])
    folds = np.array([0, 0, 1, 1])
    # Fold 0 learns from 5 and 1: limit 3, right for 9 and 1. Fold 1 learns from 9 and 1: limit 5, wrong for 5.
    assert held_out_f1(Ranked.of(values, labels, folds, 0.0).held_out()) == pytest.approx(2 / 3)
    assert held_out_f1(Ranked.of(values, labels, None, 0.0).held_out()) is None


def test_from_a_fold_without_anomalies_one_learns_to_flag_what_is_above_all_of_it():
    ranked = Ranked.of(np.array([9.0, 8.0, 7.0, 1.0]), np.array([1, 0, 0, 0]), np.array([0, 0, 1, 1]), 0.0)
    assert held_out_f1(ranked.held_out()) == pytest.approx(2 / 3)  # 9 and 8 are above 7; neither 7 nor 1 is above 8.5
