import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import cluster

from detectors.blocks import threads
from detectors.dbscan import DBSCAN
from detectors.errors import InvalidState

TABULAR = Path(__file__).parents[3] / "shared" / "data" / "tabular"


def same_partition(one, two):
    pairs = set(zip(one.tolist(), two.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def assert_equals_peer(X, eps, min_samples, metric="euclidean"):
    ours = DBSCAN(eps=eps, min_samples=min_samples, metric=metric).fit(X)
    peer = cluster.DBSCAN(eps=eps, min_samples=min_samples, metric=metric, algorithm="kd_tree").fit(X)
    np.testing.assert_array_equal(ours.core_sample_indices_, peer.core_sample_indices_)
    np.testing.assert_array_equal(ours.components_, peer.components_)
    cores = peer.core_sample_indices_
    np.testing.assert_array_equal(ours.labels_[cores], peer.labels_[cores])  # numbered alike, too
    np.testing.assert_array_equal(ours.labels_ == -1, peer.labels_ == -1)
    return ours


@st.composite
def grids(draw):
    """Rows on a grid, many of them equal, and a radius that some distances equal, or miss by rounding."""
    n_features = draw(st.integers(1, 16))
    n_rows = draw(st.integers(1, 400))
    side = draw(st.integers(1, 12))
    step = draw(st.sampled_from([1.0, 0.1, 0.3, 1 / 3, 1e-3, 7.7, 1e5]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = rng.integers(0, side + 1, size=(n_rows, n_features)) * step
    one, two = rows[rng.integers(n_rows)], rows[rng.integers(n_rows)]
    metric = draw(st.sampled_from(["euclidean", "manhattan", "chebyshev"]))
    order = {"euclidean": 2, "manhattan": 1, "chebyshev": np.inf}[metric]
    eps = float(np.linalg.norm(one - two, order)) or step
    eps = draw(st.sampled_from([eps, step * round(eps / step), math.nextafter(eps, 0), math.nextafter(eps, math.inf)]))
    return rows, eps, draw(st.integers(1, 12)), metric


@settings(max_examples=300, deadline=None)
@given(grids())
def test_ties_and_duplicates_fall_as_they_do_in_the_peer(case):
    rows, eps, min_samples, metric = case
    assert_equals_peer(rows, eps or 1.0, min_samples, metric)


@st.composite
def clouds(draw):
    n_features = draw(st.integers(1, 16))
    n_rows = draw(st.integers(1, 1500))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = rng.uniform(-10, 10, size=(draw(st.integers(1, 8)), n_features))
    rows = centres[rng.integers(len(centres), size=n_rows)] + rng.normal(size=(n_rows, n_features))
    rows[rng.random(n_rows) < draw(st.sampled_from([0.0, 0.1]))] *= 3
    rows = rows[rng.integers(n_rows, size=n_rows)] if draw(st.booleans()) else rows
    return rows, draw(st.floats(0.05, 8.0)), draw(st.integers(1, 15)), draw(st.sampled_from(["euclidean", "manhattan"]))


@settings(max_examples=150, deadline=None)
@given(clouds())
def test_clouds_are_clustered_as_by_the_peer(case):
    assert_equals_peer(*case)


@pytest.mark.parametrize("scale", [1e-170, 1e-155, 1e155, 1e180])
def test_where_squares_underflow_or_overflow_the_peers_answer_stands(scale):
    rows = np.random.default_rng(0).integers(0, 6, size=(300, 2)) * scale
    for eps in (scale * 0.5, scale, scale * math.sqrt(2)):
        with np.errstate(over="ignore"):
            assert_equals_peer(rows, eps, 12)


def test_one_way_arcs_are_followed_in_the_peers_order():
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, 9, size=(400, 2)) * 0.1
        rows = rows[(rows[:, 0] > 0.5) ^ (rows[:, 1] > 0.5)]
        for eps in (0.1, 0.2, 0.5, 0.1 * math.sqrt(2), 0.3):
            found += len(set(assert_equals_peer(rows, eps, 3).labels_))
    assert found


def tabular_sets():
    return ["breastw", "cardio", "Ionosphere", "mammography", "pendigits", "thyroid", "vowels"]


@pytest.mark.parametrize("name", tabular_sets())
def test_public_sets_are_clustered_as_by_the_peer(name):
    path = TABULAR / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    rows = np.load(path)["X"].astype(np.float64)
    for min_samples in (3, 10):
        chosen = DBSCAN(min_samples=min_samples, contamination=0.05).fit(rows)
        for eps in (chosen.eps_, chosen.eps_ / 2, 2 * chosen.eps_):
            assert_equals_peer(rows, eps, min_samples)


def test_verdicts_on_training_rows_agree_with_the_labels():
    rng = np.random.default_rng(1)
    rows = np.concatenate([rng.normal(size=(500, 3)), rng.uniform(-6, 6, size=(30, 3))])
    detector = DBSCAN(eps=0.8).fit(rows)
    scores = detector.anomaly_score(rows)
    noise = detector.labels_ == -1
    assert 0 < noise.sum() < len(rows)
    np.testing.assert_array_equal(scores > 0.5, noise)
    assert (scores[detector.core_sample_indices_] == 0).all()
    np.testing.assert_array_equal(detector.assign(rows), detector.labels_)


def test_a_row_exactly_eps_away_is_normal():
    detector = DBSCAN(eps=0.5, min_samples=3).fit([[0.0], [0.0], [0.0]])
    np.testing.assert_array_equal(detector.anomaly_score([[0.5], [-0.5], [1.0]]), [0.5, 0.5, 2 / 3])
    np.testing.assert_array_equal(detector.assign([[0.5], [0.5000001]]), [0, -1])


def test_without_core_samples_everything_is_noise():
    detector = DBSCAN(eps=0.1, min_samples=4).fit([[0.0], [1.0], [2.0]])
    assert detector.components_.shape == (0, 1)
    np.testing.assert_array_equal(detector.labels_, [-1, -1, -1])
    np.testing.assert_array_equal(detector.anomaly_score([[0.0], [9.0]]), [1.0, 1.0])
    np.testing.assert_array_equal(detector.feature_contributions([[0.0]]), [[0.0]])
    np.testing.assert_array_equal(detector.assign([[0.0]]), [-1])
    restored = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(restored.anomaly_score([[0.0]]), [1.0])


@pytest.mark.parametrize("rows", [np.zeros((1, 2)), np.zeros((50, 2)), np.full((50, 2), 1e9)])
def test_eps_of_constant_rows_lets_only_them_pass(rows):
    detector = DBSCAN().fit(rows)
    scores = detector.anomaly_score([rows[0], rows[0] + 1.0])
    assert scores[1] == pytest.approx(1.0)
    assert scores[0] == (0.0 if len(rows) >= 5 else 1.0)


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.3])
def test_a_share_is_left_as_noise(contamination):
    rows = np.random.default_rng(2).normal(size=(2000, 3))
    detector = DBSCAN(contamination=contamination).fit(rows)
    noise = (detector.labels_ == -1).mean()
    assert contamination * 0.85 <= noise <= contamination * 1.15
    assert_equals_peer(rows, detector.eps_, 5)


def test_of_rows_that_no_radius_tells_apart_all_or_none_are_noise():
    rows = np.concatenate([np.repeat(0.0, 90), np.repeat(5.0, 6), [20.0, 30.0, 40.0, 50.0]])[:, np.newaxis]
    for contamination, noise in ((0.04, 4), (0.06, 4), (0.05, 4), (0.09, 10), (0.1, 10)):
        detector = DBSCAN(min_samples=10, contamination=contamination).fit(rows)
        assert (detector.labels_ == -1).sum() == noise


def test_eps_auto_finds_far_rows_and_few_others():
    rng = np.random.default_rng(3)
    rows = np.concatenate([rng.normal(size=(1000, 2)), [[15.0, 15.0], [-20.0, 3.0]]])
    detector = DBSCAN().fit(rows)
    assert (detector.predict(rows[-2:]) == -1).all()
    assert (detector.labels_ == -1).mean() < 0.1


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
def test_contributions_name_the_feature_that_is_off(metric):
    rows = np.random.default_rng(4).normal(size=(400, 4))
    detector = DBSCAN(eps=1.5, metric=metric).fit(rows)
    off = rows[detector.core_sample_indices_[:20]].copy()
    off[:, 2] += 30.0
    shares = detector.feature_contributions(off)
    assert (shares.argmax(axis=1) == 2).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert (detector.feature_contributions(detector.components_) == 0).all()


def test_contributions_are_the_shares_of_the_squared_difference():
    detector = DBSCAN(eps=1.0, min_samples=1).fit([[0.0, 0.0]])
    np.testing.assert_allclose(detector.feature_contributions([[3.0, 1.0]]), [[0.9, 0.1]])


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(20_000, 3))
    results = []
    for count in (1, 4):
        with threads(count):
            detector = DBSCAN(min_samples=8).fit(rows)
            results.append((detector.eps_, detector.labels_, detector.anomaly_score(rows + 0.1)))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_array_equal(results[0][2], results[1][2])


def test_a_restored_detector_gives_the_same_bits():
    rng = np.random.default_rng(6)
    rows = rng.integers(0, 30, size=(3000, 2)).astype(float)  # many nearest core samples at the same distance
    detector = DBSCAN(eps=2.0, min_samples=30).fit(rows)
    restored = pickle.loads(pickle.dumps(detector))
    new = rng.uniform(0, 30, size=(500, 2)).round()
    np.testing.assert_array_equal(detector.anomaly_score(new), restored.anomaly_score(new))
    np.testing.assert_array_equal(detector.assign(new), restored.assign(new))
    np.testing.assert_array_equal(detector.feature_contributions(new), restored.feature_contributions(new))


def damaged(name, value):
    detector = DBSCAN(eps=0.5).fit(np.random.default_rng(7).normal(size=(100, 2)))
    setattr(detector, name, value(getattr(detector, name)))
    return detector


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("core_sample_indices_", lambda indices: indices + 100),
        ("core_sample_indices_", lambda indices: indices[::-1].copy()),
        ("core_sample_indices_", lambda indices: indices[1:]),
        ("components_", lambda rows: rows[:, :1]),
        ("components_", lambda rows: np.where(rows == rows[0], np.nan, rows)),
        ("labels_", lambda labels: labels + 1000),
        ("labels_", lambda labels: np.full_like(labels, -1)),
        ("labels_", lambda labels: labels.astype(np.float64)),
        ("eps_", lambda eps: -eps),
        ("eps_", lambda eps: math.nan),
    ],
)
def test_damaged_state_is_refused(name, value):
    encoded = damaged(name, value).__getstate__()
    with pytest.raises(InvalidState):
        DBSCAN.__new__(DBSCAN).__setstate__(encoded)


@pytest.mark.parametrize(
    "parameters",
    [
        {"eps": 0.0},
        {"eps": math.inf},
        {"eps": "small"},
        {"min_samples": 0},
        {"metric": "cosine"},
        {"contamination": 0.6},
    ],
)
def test_parameters_out_of_range_are_named(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        DBSCAN(**parameters).fit([[0.0], [1.0]])


def test_training_rows_score_the_same_either_way() -> None:
    rows = np.random.default_rng(5).normal(size=(2_000, 3))
    rows[10] = rows[11]
    for detector in (DBSCAN(eps=0.3), DBSCAN(eps=1e-9), DBSCAN(eps=100.0), DBSCAN()):
        detector.fit(rows)
        scores, some = detector.anomaly_score(rows), np.array([5, 3, 1999])
        for same in (detector, pickle.loads(pickle.dumps(detector))):
            assert (same.training_scores(rows) == scores).all()
            assert (same.training_scores(rows, some) == scores[some]).all()
    with pytest.raises(ValueError, match="2000 rows, these are 5"):
        detector.training_scores(rows[:5])
