import json
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import cluster
from sklearn.metrics import f1_score

from detectors import kdtree
from detectors.critical_radius import boundaries, critical_radii
from detectors.scaling import Scaled
from training import search as searching
from training.artifacts import load_model, save_model
from training.candidates import family, trials
from training.errors import JobStopped, TrainingError
from training.features import Features
from training.search import fitted, search
from training.synthetic import clusters, series
from training.train import train

TABULAR = Path(__file__).parents[3] / "shared" / "data" / "tabular"


def features_of(values, times=None):
    values = np.ascontiguousarray(values, dtype=np.float64)
    return Features(values, tuple(f"f{k}" for k in range(values.shape[1])), times)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Most tests are not about what to expect, which takes most of the time."""
    monkeypatch.setattr(searching, "REFITTED_ROWS", 100)


def overlapping(seed=0, n_features=2):
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.normal(size=(300, n_features)), rng.uniform(-5, 5, size=(40, n_features))])
    return features_of(rows * np.geomspace(1, 100, n_features)), np.repeat([0, 1], [300, 40])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**32), st.booleans(), st.floats(0.01, 3.0))
def test_critical_radii_tell_the_peers_noise(n_features, seed, on_grid, eps):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(int(rng.integers(1, 300)), n_features))
    rows = np.round(rows * 3) if on_grid else rows
    sizes = [1, 2, 3, 5, 8, 13, 20]
    radii = critical_radii(kdtree.build(rows, "euclidean"), "euclidean", sizes)
    for min_samples, values in zip(sizes, radii, strict=True):
        near = boundaries(values)
        chosen = near[np.searchsorted(near, eps) % near.size] if near.size else eps
        for radius in (eps * (1 + 1e-9), chosen):
            peer = cluster.DBSCAN(eps=radius, min_samples=min_samples, algorithm="kd_tree").fit(rows)
            np.testing.assert_array_equal(values > radius, peer.labels_ == -1)


@pytest.mark.parametrize("name", ["cardio", "mammography", "pendigits", "thyroid"])
def test_critical_radii_tell_the_peers_noise_on_public_sets(name):
    path = TABULAR / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    rows = np.load(path)["X"].astype(np.float64)[:4000]
    radii = critical_radii(kdtree.build(rows, "euclidean"), "euclidean", [4, 15])
    for min_samples, values in zip((4, 15), radii, strict=True):
        for radius in np.random.default_rng(0).choice(boundaries(values), 3):
            peer = cluster.DBSCAN(eps=radius, min_samples=min_samples, algorithm="kd_tree").fit(rows)
            np.testing.assert_array_equal(values > radius, peer.labels_ == -1)


def test_no_grid_finds_a_better_dbscan():
    features, labels = overlapping()
    best = max(
        (one for one in search("dbscan", features, labels).candidates if one.scaling == "none"), key=lambda one: one.f1
    )
    spread = np.linalg.norm(features.values.std(axis=0))
    for eps in np.geomspace(spread / 100, spread, 20):
        for min_samples in range(2, 21, 2):
            peer = cluster.DBSCAN(eps=eps, min_samples=min_samples).fit(features.values)
            assert f1_score(labels, peer.labels_ == -1, zero_division=0.0) <= best.f1 + 1e-12


DETECTORS = ["inne", "dbscan", "iqr", "quantile", "persist", "poly", "subpca"]


def labelled(name):
    if name in ("inne", "dbscan"):
        return overlapping()
    features, labels = series(seed=3)
    order = np.random.default_rng(0).permutation(len(features))  # and a gap, and a doubled stamp
    values = features.values[order].copy()
    values[5] = np.nan
    times = features.times[order].copy()
    times[7], values[7], labels = times[8], values[8] + 1000.0, labels[order]
    return Features(values, features.names, times, features.time_name, features.time_unit), labels


@pytest.mark.parametrize("name", DETECTORS)
def test_every_candidates_f1_is_that_of_the_fitted_detector(name):
    features, labels = labelled(name)
    found = search(name, features, labels, seed=1)
    chosen = np.random.default_rng(0).choice(len(found.candidates), min(12, len(found.candidates)), replace=False)
    for candidate in [found.best, *(found.candidates[index] for index in chosen)]:
        detector = fitted(candidate, features)
        times = {"times": features.times} if detector.kind == "univariate" else {}
        flagged = detector.predict(features.values, **times) == -1
        assert f1_score(labels, flagged, zero_division=0.0) == pytest.approx(candidate.f1, abs=1e-12), candidate


@pytest.mark.parametrize("name", DETECTORS)
def test_the_search_is_never_worse_than_the_defaults(name):
    features, labels = labelled(name)
    usual = train(name, features, labels, seed=1, search=False)
    assert search(name, features, labels, seed=1).best.f1 >= (usual.metrics["f1"] or 0.0) - 0.02


def test_all_that_should_be_is_tried():
    features, labels = overlapping()
    tried = {(one.scaling, one.parameters["min_samples"]) for one in search("dbscan", features, labels).candidates}
    scalings = ("none", "standard", "robust", "min-max", "absolute")
    assert tried == {(scaling, m) for scaling in scalings for m in range(2, 21)}
    sizes = {
        (one.scaling, one.parameters["max_samples"])
        for one in search("inne", features, labels).candidates
        if one.parameters.get("scoring") == "isolation"
    }
    assert sizes >= {(scaling, 2**k) for scaling in scalings for k in range(1, 5)}  # of 340 rows a sixteenth
    assert not any(size == 32 for _, size in sizes)


def test_one_column_is_not_scaled():
    assert {trial.scaling for trial in trials("dbscan", overlapping(n_features=1)[0], {})} == {"none"}
    assert {trial.scaling for trial in trials("iqr", series(seed=0)[0], {})} == {"none"}


def test_cross_validation_promises_less_where_labels_are_noise():
    rng = np.random.default_rng(0)
    features, labels = features_of(rng.normal(size=(300, 2))), (rng.random(300) < 0.05).astype(np.int64)
    found = search("dbscan", features, labels)
    assert found.expected.f1 < found.best.f1
    assert found.expected.low < found.expected.f1 < found.expected.high


def test_too_few_labels_leave_no_cross_validation():
    features, labels = overlapping()
    only = np.zeros_like(labels)
    only[-1] = 1
    found = search("dbscan", features, only)
    assert found.best.f1_cross_validated is None
    assert found.expected is None
    assert found.report()["f1_interval"] is None


def test_the_same_seed_finds_the_same_on_any_number_of_threads():
    features, labels = overlapping()
    one = search("inne", features, labels, seed=4, n_jobs=1)
    two = search("inne", features, labels, seed=4, n_jobs=3)
    assert one.candidates == two.candidates
    np.testing.assert_array_equal(
        one.detector.anomaly_score(features.values), two.detector.anomaly_score(features.values)
    )


def test_other_backends_of_joblib_find_the_same():
    features, labels = overlapping()
    here = search("dbscan", features, labels)
    with joblib.parallel_config(backend="loky"):
        there = search("dbscan", features, labels, n_jobs=2)
    assert here.candidates == there.candidates


def test_what_is_given_is_kept():
    features, labels = overlapping()
    found = search("dbscan", features, labels, {"min_samples": 7, "metric": "manhattan"})
    assert {(one.parameters["min_samples"], one.parameters["metric"]) for one in found.candidates} == {(7, "manhattan")}
    assert family("dbscan").limit == ("eps", "contamination")
    with pytest.raises(TrainingError):
        search("dbscan", features, labels, {"eps": 1.0})


@pytest.mark.parametrize("labels", [np.zeros(340, dtype=np.int64), np.ones(340, dtype=np.int64)])
def test_labels_of_one_kind_choose_nothing(labels):
    with pytest.raises(TrainingError):
        search("dbscan", overlapping()[0], labels)


def test_wrong_given_parameters_are_named():
    features, labels = overlapping()
    with pytest.raises(TrainingError, match="n_estimators"):
        search("inne", features, labels, {"n_estimators": -1})


def test_progress_is_told_and_a_search_can_be_stopped():
    features, labels = overlapping()
    told = []
    search("dbscan", features, labels, progress=lambda share, doing: told.append((share, doing)))
    assert [share for share, _ in told] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert "standard scaling" in told[1][1]
    asked = iter([False, True])
    with pytest.raises(JobStopped):
        search("inne", features, labels, stopped=lambda: next(asked))

    def refuse(share, doing):
        raise JobStopped

    for n_jobs in (1, 3):
        with pytest.raises(JobStopped):
            search("dbscan", features, labels, progress=refuse, n_jobs=n_jobs)


def test_training_with_labels_searches_and_the_file_holds_it_all(tmp_path):
    features, labels = overlapping()
    model = train("dbscan", features, labels, seed=0)
    assert model.metrics["f1"] == pytest.approx(model.metrics["search"]["f1"])
    assert len(model.metrics["search"]["candidates"]) == 95
    assert model.parameters["scaling"] in ("standard", "robust", "min-max", "absolute")
    assert isinstance(model.detector, Scaled)
    assert model.title == "DBSCAN"
    json.dumps(model.metadata(), allow_nan=False)
    restored = load_model(save_model(model, tmp_path / "model.pkl"))
    assert restored.title == "DBSCAN"
    np.testing.assert_array_equal(
        restored.detector.anomaly_score(features.values), model.detector.anomaly_score(features.values)
    )
    restored.warm_up()


def test_training_with_parameters_or_without_labels_does_not_search():
    features, labels = clusters(seed=0)
    assert "search" not in train("dbscan", features, labels, {"min_samples": 4}).metrics
    assert "search" in train("dbscan", features, labels, {"min_samples": 4}, search=True).metrics
    assert "search" not in train("dbscan", features).metrics
    assert "search" not in train("dbscan", features, np.zeros_like(labels)).metrics


def test_a_limit_found_for_inne_is_the_model_s_threshold(tmp_path):
    features, labels = overlapping()
    model = train("inne", features, labels, seed=0)
    assert model.threshold == pytest.approx(model.metrics["search"]["candidates"][0]["limit"])
    restored = load_model(save_model(model, tmp_path / "model.pkl"))
    assert restored.threshold == model.threshold


def test_a_given_scaling_is_the_only_one():
    features, labels = overlapping()
    assert {one.scaling for one in search("dbscan", features, labels, {"scaling": "robust"}).candidates} == {"robust"}


def few(seed, share=0.1):
    rng = np.random.default_rng(seed)
    labels = (rng.random(90) < share).astype(np.int64)
    labels[:2] = 1
    return features_of(rng.normal(size=(90, 3)) + labels[:, np.newaxis] * 2.0), labels


def test_with_few_rows_what_to_expect_comes_from_fitting_again():
    """Shared rows would tell their own label: of noise nothing is to be expected."""
    rng = np.random.default_rng(3)
    expected = []
    for seed in range(8):
        features, labels = few(seed)
        found = search(["dbscan", "iqr"], features, rng.permutation(labels))
        expected.append((found.expected.f1, found.best.f1_cross_validated))
    assert np.mean(expected, axis=0)[0] < 0.3
    assert np.mean(expected, axis=0)[0] < np.mean(expected, axis=0)[1] - 0.1


def test_the_rounds_of_a_search_among_few_rows_are_told_as_one():
    features, labels = few(0)
    told = []
    search("dbscan", features, labels, progress=lambda share, doing: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) == 5 * 6


def test_families_compete_and_the_best_is_kept():
    features, labels = overlapping()
    found = search(["inne", "dbscan", "iqr"], features, labels)
    assert {one.detector for one in found.candidates} == {"inne", "dbscan", "iqr"}
    assert found.best.merit == max(one.merit for one in found.candidates)
    assert type(getattr(found.detector, "detector", found.detector)).__name__.lower() == found.best.detector
    assert found.report()["detector"] == found.best.detector


def test_wrong_parameters_of_one_family_are_refused_for_several():
    with pytest.raises(TrainingError):
        search([], *overlapping())
