import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from training.expectation import Expected, of_choice
from training.limits import HeldOut, Ranked

counts = st.integers(0, 200)


@given(counts, counts, counts)
def test_the_interval_is_that_of_the_share_that_is_both(found, wrong, missed):
    if found + wrong + missed == 0:
        return
    expected = Expected.of(found, found + wrong, found + missed)
    share = binomtest(found, found + wrong + missed).proportion_ci(0.95, "exact")
    assert expected.f1 == pytest.approx(2 * found / (2 * found + wrong + missed))
    assert expected.low == pytest.approx(2 * share.low / (1 + share.low))
    assert expected.high == pytest.approx(2 * share.high / (1 + share.high))
    assert 0.0 <= expected.low <= expected.f1 <= expected.high <= 1.0


def test_more_labels_say_more():
    few, many = Expected.of(7, 10, 10), Expected.of(700, 1000, 1000)
    assert many.high - many.low < 0.1 < 0.3 < few.high - few.low


def test_of_one_candidate_it_is_its_cross_validated_f1():
    rng = np.random.default_rng(0)
    labels = (rng.random(200) < 0.2).astype(np.int64)
    values, folds = rng.normal(size=200) + labels, np.arange(200) % 5
    ranked = Ranked.of(values, labels, folds, -np.inf)
    flagged = np.zeros(200, bool)
    for fold in range(5):
        elsewhere = Ranked.of(values[folds != fold], labels[folds != fold], None, -np.inf)
        flagged[folds == fold] = values[folds == fold] > elsewhere.best().value
    assert of_choice([ranked.held_out()]).f1 == pytest.approx(f1_score(labels, flagged))


def test_the_luck_of_the_best_of_many_is_not_expected_again():
    rng = np.random.default_rng(1)
    labels = (np.arange(300) < 60).astype(np.int64)
    folds = np.arange(300) % 5
    candidates = [Ranked.of(rng.normal(size=300), labels, folds, -np.inf).held_out() for _ in range(200)]
    lucky = max(of_choice([candidate]).f1 for candidate in candidates)
    assert of_choice(candidates).f1 < lucky - 0.02


def test_equally_good_candidates_count_equally():
    right = [HeldOut(1.0, 2, 2, 2), HeldOut(1.0, 2, 2, 2)]
    wrong = [HeldOut(1.0, 0, 2, 2), HeldOut(1.0, 2, 2, 2)]
    # by the second fold both are equally good: of the first, half the anomalies are found
    assert of_choice([right, wrong]).f1 == pytest.approx(2 * (1 + 2) / (4 + 4))


def test_without_folds_nothing_is_known():
    assert of_choice([(), ()]) is None
