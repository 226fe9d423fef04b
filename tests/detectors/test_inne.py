import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.blocks import threads
from detectors.errors import InvalidState
from detectors.inne import _FEW_ROWS, INNE
from tests import strategies
from tests.detectors import reference_inne as reference

MIX = {"n_estimators": 250, "max_samples": (2, 4, 8, 16, 32), "max_features": "sqrt", "scoring": "graded"}
SCORINGS = pytest.mark.parametrize("scoring", ["isolation", "graded"])


def demo_rows(seed: int) -> np.ndarray:
    """Three clusters of 1000 rows in four dimensions, and five anomalies at the end."""
    random = np.random.RandomState(seed)
    clusters = [random.normal(centre, 0.1, (1000, 4)) for centre in (2.0, 4.0, 6.0)]
    return np.vstack([*clusters, random.normal(0.0, 0.1, (5, 4))])


@st.composite
def detectors_and_rows(draw):
    training = draw(strategies.rows())
    detector = INNE(
        n_estimators=draw(st.integers(1, 12)),
        max_samples=draw(st.sampled_from([2, 3, 8, 64, (2, 5), [4, 2, 16]])),
        max_features=draw(st.sampled_from([None, "sqrt", 1, 0.5, 1.0])),
        scoring=draw(st.sampled_from(["isolation", "graded"])),
        random_state=draw(st.integers(0, 2**32 - 1)),
    ).fit(training)
    near = training + draw(st.sampled_from([0.0, 0.25, 1e-9]))
    return detector, np.vstack([training, near, training[:1] * 3 + 1, training[:1] + 1e6])


@given(detectors_and_rows())
@settings(max_examples=300)
def test_kernels_agree_with_the_definition(case):
    detector, rows = case
    np.testing.assert_allclose(
        detector.anomaly_score(rows), reference.anomaly_score(detector, rows), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        detector.feature_contributions(rows), reference.feature_contributions(detector, rows), rtol=0, atol=1e-9
    )


@given(detectors_and_rows())
def test_one_row_at_a_time_gives_the_bits_of_the_batch(case):
    detector, rows = case
    batch = detector.anomaly_score(np.vstack([rows] * (_FEW_ROWS // len(rows) + 1)))[: len(rows)]
    assert [detector.anomaly_score(row[np.newaxis])[0] for row in rows] == list(batch)


@pytest.mark.parametrize("n_features", [1, 3, 4, 5, 8, 13, 64])
@SCORINGS
@pytest.mark.parametrize("max_features", [None, "sqrt"])
def test_every_width_agrees_with_the_definition(n_features, scoring, max_features):
    rows = np.random.RandomState(n_features).normal(size=(700, n_features))
    detector = INNE(20, (2, 32), max_features, scoring, random_state=0).fit(rows)
    np.testing.assert_allclose(
        detector.anomaly_score(rows), reference.anomaly_score(detector, rows), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        detector.feature_contributions(rows), reference.feature_contributions(detector, rows), rtol=0, atol=1e-12
    )


def test_a_row_on_the_surface_of_a_ball_is_covered():
    """The nearest centre is exactly as far as the radius says, in whatever order the difference is taken."""
    rows = np.random.RandomState(0).normal(size=(200, 7)) * 1e-3 + 1e3
    detector = INNE(50, 2, random_state=1).fit(rows)
    pair_scores = [reference.member_scores(sample, sample, "isolation") for sample, _ in reference.members(detector)]
    assert (np.array(pair_scores) == 0.0).all()
    first = np.array([sample[0] for sample, _ in reference.members(detector)])
    single = INNE(1, 2, random_state=1)
    for seed in range(20):
        sample, _ = reference.members(single.set_params(random_state=seed).fit(rows))[0]
        assert list(single.anomaly_score(sample)) == [0.0, 0.0]
    assert len(first) == 50


@SCORINGS
def test_copies_of_training_rows_are_normal(scoring):
    rows = np.repeat([[1.0, 2.0], [5.0, 5.0]], 50, axis=0)
    detector = INNE(scoring=scoring, random_state=0).fit(rows)
    assert (detector.predict(rows) == 1).all()
    assert detector.predict([[1.0, 2.5]]) == -1


@SCORINGS
def test_constant_training_data(scoring):
    detector = INNE(scoring=scoring, random_state=0).fit(np.full((40, 3), 7.0))
    assert detector.anomaly_score([[7.0, 7.0, 7.0], [7.0, 7.0, np.nextafter(7.0, 8.0)]]).tolist() == [0.0, 1.0]
    assert detector.predict([[7.0, 7.0, 7.0], [7.0, 7.0, 7.5]]).tolist() == [1, -1]


@SCORINGS
@pytest.mark.parametrize("factor", [2.0**600, 2.0**-600, 2.0**-1030], ids=["1e180", "1e-180", "subnormal"])
def test_huge_and_tiny_numbers_are_like_ordinary_ones(scoring, factor):
    rows = np.round(np.random.RandomState(0).normal(size=(300, 4)) * 2**20)
    plain = INNE(scoring=scoring, random_state=0).fit(rows * 2.0**-20)
    scaled = INNE(scoring=scoring, random_state=0).fit(rows * 2.0**-20 * factor)
    probe = rows * 2.0**-20 * 3
    np.testing.assert_array_equal(plain.anomaly_score(probe), scaled.anomaly_score(probe * factor))
    np.testing.assert_array_equal(plain.feature_contributions(probe), scaled.feature_contributions(probe * factor))
    assert plain.threshold_ == scaled.threshold_


@SCORINGS
def test_the_largest_numbers_neither_overflow_nor_warn(scoring):
    largest = np.finfo(np.float64).max
    rows = np.random.RandomState(0).uniform(-1, 1, (100, 3)) * largest
    for detector in (INNE(scoring=scoring, random_state=0).fit(rows), INNE(scoring=scoring).fit(rows / largest)):
        far = np.array([[largest, -largest, largest], [largest, 0.0, 0.0]])
        scores, contributions = detector.anomaly_score(np.vstack([rows, far])), detector.feature_contributions(far)
        assert np.isfinite(scores).all()
        assert 0.0 <= scores.min() <= scores.max() <= 1.0
        np.testing.assert_allclose(contributions.sum(axis=1), 1.0)
    assert scores[-1] == pytest.approx(1.0)
    np.testing.assert_allclose(contributions[1], [1.0, 0.0, 0.0], atol=1e-12)


def test_a_sample_is_never_larger_than_the_data():
    detector = INNE(max_samples=(2, 1000)).fit(np.arange(6.0).reshape(-1, 1))
    assert set(np.diff(detector.offsets_)) == {2, 6}
    for sample, _ in reference.members(detector):
        assert len(np.unique(sample)) == len(sample)


def test_one_row_is_too_few():
    with pytest.raises(ValueError, match="needs 2 rows or more"):
        INNE().fit([[1.0, 2.0]])


def test_every_row_is_drawn_equally_often():
    drawn = np.concatenate(
        [INNE(400, 5, random_state=seed).fit(np.arange(20.0)[:, None]).centres_ for seed in range(5)]
    )
    counts = np.unique(drawn, return_counts=True)[1]
    assert len(counts) == 20
    assert np.abs(counts / 500 - 1).max() < 0.2  # 500 times each; 0.2 is five standard deviations


def test_sizes_of_a_mix_are_shared_out_equally():
    detector = INNE(250, (2, 4, 8, 16, 32)).fit(np.random.RandomState(0).normal(size=(100, 3)))
    assert np.unique(np.diff(detector.offsets_), return_counts=True)[1].tolist() == [50] * 5


@pytest.mark.parametrize(
    ("max_features", "expected"), [(None, 10), ("sqrt", 4), (3, 3), (10, 10), (1, 1), (0.25, 3), (1.0, 10), (1e-9, 1)]
)
def test_how_many_features_a_sample_looks_at(max_features, expected):
    detector = INNE(40, max_features=max_features, random_state=0).fit(np.random.RandomState(0).normal(size=(50, 10)))
    assert detector.features_.shape == (40, expected)
    assert (np.diff(detector.features_, axis=1) > 0).all()
    assert set(detector.features_.flat) == set(range(10))


@pytest.mark.parametrize(
    ("parameters", "culprit"),
    [
        ({"max_samples": 1}, "max_samples"),
        ({"max_samples": (2, 1)}, "max_samples"),
        ({"max_samples": ()}, "max_samples"),
        ({"max_samples": [2.5]}, "max_samples"),
        ({"max_samples": [[2, 4]]}, "max_samples"),
        ({"max_samples": "many"}, "max_samples"),
        ({"max_features": 4}, "max_features=4 is more than the 3 features"),
        ({"max_features": 0}, "max_features"),
        ({"max_features": 1.5}, "max_features"),
        ({"scoring": "best"}, "scoring"),
        ({"metric": "cosine"}, "metric"),
        ({"contamination": 0.0}, "contamination"),
        ({"contamination": 0.6}, "contamination"),
        ({"n_estimators": 0}, "n_estimators"),
    ],
)
def test_wrong_parameters_are_named(parameters, culprit):
    with pytest.raises(ValueError, match=culprit):
        INNE(**parameters).fit(np.zeros((9, 3)))


@pytest.mark.parametrize("parameters", [{}, MIX, {"scoring": "graded"}, {"contamination": 0.01}])
def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(parameters):
    rows = np.random.RandomState(0).normal(size=(10_000, 5))
    found = []
    for count in (1, 2, 5):
        with threads(count):
            detector = INNE(**parameters, random_state=9).fit(rows)
            found.append((detector.threshold_, detector.anomaly_score(rows), detector.feature_contributions(rows)))
    for other in found[1:]:
        assert other[0] == found[0][0]
        np.testing.assert_array_equal(other[1], found[0][1])
        np.testing.assert_array_equal(other[2], found[0][2])


def test_draws_do_not_change_between_releases():
    """A seed means the same tomorrow: RandomState's streams are frozen, and so is how they are used."""
    detector = INNE(3, 4, 2, random_state=0).fit(np.arange(200.0).reshape(-1, 4))
    assert detector.features_.tolist() == FEATURES
    assert detector.centres_[:, 0].tolist() == CENTRES


FEATURES = [[1, 2], [1, 2], [1, 2]]
CENTRES = [81.0, 169.0, 189.0, 77.0, 149.0, 101.0, 109.0, 185.0, 13.0, 17.0, 1.0, 165.0]


@pytest.mark.parametrize("seed", range(20))
def test_the_demo_s_anomalies_are_flagged_and_few_others(seed):
    rows = demo_rows(seed)
    verdicts = INNE(random_state=seed).fit(rows).predict(rows)
    assert (verdicts[3000:] == -1).all()
    assert (verdicts[:3000] == -1).mean() <= 0.01


def test_the_demo_s_scores_are_those_that_were_published():
    """One run was published as 0.266; it is an ordinary draw."""
    scores = np.array([INNE(random_state=seed).fit(demo_rows(seed)).anomaly_score(PUBLISHED) for seed in range(40)])
    assert 0.25 < np.quantile(scores[:, 0], 0.05) < 0.27 < 0.30 < scores[:, 0].mean() < 0.34 < scores[:, 0].max() < 0.45
    assert (scores[:, 1:] > 0.95).all()


PUBLISHED = [[2.1, 2.05, 1.95, 2.01], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]


@pytest.mark.parametrize("n_features", [2, 8, 32])
def test_few_false_alarms_on_clean_data(n_features):
    shares = []
    for seed in range(6):
        rows = np.random.RandomState(seed).normal(size=(2000, n_features))
        shares.append((INNE(**MIX, random_state=seed).fit(rows).predict(rows) == -1).mean())
    assert np.mean(shares) <= 0.015


@pytest.mark.parametrize("n_features", [2, 8, 32])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_far_outliers_are_found_without_labels(n_features, share):
    found = []
    for seed in range(6):
        random = np.random.RandomState(seed)
        rows = random.normal(size=(2000, n_features))
        low, high = rows.min(axis=0), rows.max(axis=0)
        far = random.uniform(2 * low - high, 2 * high - low, (4000, n_features))
        far = far[((far < low) | (far > high)).any(axis=1)][: int(2000 * share)]
        rows[: len(far)] = far
        found.append((INNE(**MIX, random_state=seed).fit(rows).predict(far) == -1).mean())
    assert np.mean(found) >= 0.95


def test_of_one_feature_few_are_flagged_and_the_far_ones_found():
    random = np.random.RandomState(0)
    clean, far = random.normal(size=(2000, 1)), random.uniform(6, 12, size=(100, 1)) * random.choice([-1, 1], (100, 1))
    assert (INNE(**MIX, random_state=0).fit(clean).predict(clean) == -1).mean() <= 0.015
    assert (INNE(**MIX, random_state=0).fit(np.vstack([clean, far])).predict(far) == -1).mean() >= 0.95


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.5])
def test_contamination_flags_that_share_of_the_training_rows(share):
    rows = np.random.RandomState(0).normal(size=(5000, 3))
    detector = INNE(scoring="graded", contamination=share, random_state=0).fit(rows)
    assert (detector.predict(rows) == -1).sum() == 5000 * share


def test_a_refit_forgets_the_first():
    detector = INNE(random_state=0).fit(np.random.RandomState(0).normal(size=(100, 6)))
    rows = np.random.RandomState(1).normal(size=(100, 2))
    np.testing.assert_array_equal(
        detector.fit(rows).anomaly_score(rows), INNE(random_state=0).fit(rows).anomaly_score(rows)
    )


@pytest.mark.parametrize("parameters", [{}, {"scoring": "graded"}, MIX, {"max_features": 2}])
def test_the_feature_that_stands_out_is_named_first(parameters):
    random = np.random.RandomState(0)
    rows = random.normal(size=(3000, 4))
    detector = INNE(**parameters, random_state=0).fit(rows)
    for feature in range(4):
        corrupted = random.normal(size=(200, 4))
        corrupted[:, feature] += 6.0
        named = detector.feature_contributions(corrupted).argmax(axis=1)
        assert (named == feature).mean() > 0.95


def tampered(detector: INNE, **changes: np.ndarray) -> bytes:
    copy = pickle.loads(pickle.dumps(detector))
    for name, value in changes.items():
        setattr(copy, name, value)
    return pickle.dumps(copy)


def test_a_state_whose_parts_do_not_fit_together_is_refused():
    detector = INNE(3, 4, 2, random_state=0).fit(np.random.RandomState(0).normal(size=(50, 5)))
    offsets, features = detector.offsets_, detector.features_
    for changes in (
        {"offsets_": np.array([0, 4, 8, 13])},
        {"offsets_": np.array([1, 4, 8, 12])},
        {"offsets_": np.array([0, 8, 4, 12])},
        {"offsets_": np.array([0, 4, 11, 12])},
        {"offsets_": np.array([0, 4, 12])},
        {"offsets_": np.array([], dtype=np.int64)},
        {"features_": features[:, ::-1].copy()},
        {"features_": features[:2]},
        {"features_": np.zeros((0, 2), np.int64), "offsets_": offsets[:1], "centres_": np.zeros((0, 2))},
        {"features_": np.zeros((3, 0), np.int64), "centres_": np.zeros((12, 0))},
    ):
        with pytest.raises(InvalidState):
            pickle.loads(tampered(detector, **changes))
