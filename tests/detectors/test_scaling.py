import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from detectors.dbscan import DBSCAN
from detectors.errors import InvalidState
from detectors.inne import INNE
from detectors.iqr import IQR
from detectors.scaling import SCALINGS, Scaled

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(400, 3)) * [1.0, 1000.0, 1e-4] + [0.0, 5e4, 3.0]
PEERS = {"standard": StandardScaler, "robust": RobustScaler, "min-max": MinMaxScaler}


@parametrize_with_checks([Scaled(DBSCAN(contamination=0.1)), Scaled(INNE(contamination=0.1, random_state=0), "robust")])
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("scaling", PEERS)
def test_rows_are_scaled_as_by_the_peer(scaling):
    scaled = Scaled(DBSCAN(eps=0.5), scaling).fit(ROWS)
    apart = PEERS[scaling]().fit(ROWS)
    expected = DBSCAN(eps=0.5).fit(apart.transform(ROWS))
    np.testing.assert_array_equal(scaled.detector_.labels_, expected.labels_)
    new = ROWS[:50] * 1.01
    np.testing.assert_allclose(scaled.anomaly_score(new), expected.anomaly_score(apart.transform(new)), rtol=1e-9)
    np.testing.assert_allclose(
        scaled.feature_contributions(new), expected.feature_contributions(apart.transform(new)), atol=1e-9
    )


def test_without_scaling_nothing_changes():
    scaled, bare = Scaled(DBSCAN(), "none").fit(ROWS), DBSCAN().fit(ROWS)
    np.testing.assert_array_equal(scaled.anomaly_score(ROWS), bare.anomaly_score(ROWS))


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_restored_one_gives_the_same_bits(scaling):
    scaled = Scaled(INNE(random_state=0), scaling).fit(ROWS)
    restored = pickle.loads(pickle.dumps(scaled))
    np.testing.assert_array_equal(restored.anomaly_score(ROWS), scaled.anomaly_score(ROWS))
    assert restored.threshold_ == scaled.threshold_
    assert pickle.loads(pickle.dumps(clone(scaled))).get_params()["detector__random_state"] == 0


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_feature_without_spread_is_centred_only(scaling):
    rows = np.column_stack([ROWS[:, 0], np.full(len(ROWS), 0.1)])
    scaled = Scaled(DBSCAN(), scaling).fit(rows)
    assert scaled.scale_[1] == 1.0
    assert scaled.predict([[0.0, 99.0]]) == [-1]


def test_rows_far_beyond_a_float_s_range_once_scaled_are_anomalies():
    scaled = Scaled(DBSCAN(), "standard").fit(ROWS * 1e-6)
    np.testing.assert_array_equal(scaled.anomaly_score([[1e306, 0.0, 0.0], [-1e306, 1e306, 0.0]]), [1.0, 1.0])


def test_a_feature_too_large_to_scale_is_named():
    with pytest.raises(ValueError, match="column 1"):
        Scaled(DBSCAN()).fit([[0.0, 1e308], [1.0, -1e308], [2.0, 1e308]])


@pytest.mark.parametrize("wrong", [{"scaling": "log"}, {"detector": IQR()}, {"detector": "dbscan"}])
def test_wrong_parameters_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Scaled(**{"detector": DBSCAN(), **wrong}).fit(ROWS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale_", np.array([1.0, 0.0, 1.0])),
        ("scale_", np.array([1.0, -1.0, 1.0])),
        ("center_", np.array([1.0, np.nan, 1.0])),
        ("center_", np.zeros(2)),
        ("detector_", DBSCAN()),
        ("detector_", INNE(random_state=0).fit(ROWS)),
        ("detector_", DBSCAN().fit(ROWS[:, :2])),
        ("detector_", None),
        ("threshold_", 1.5),
    ],
)
def test_damaged_state_is_refused(name, value):
    scaled = Scaled(DBSCAN()).fit(ROWS)
    setattr(scaled, name, value)
    encoded = scaled.__getstate__()
    with pytest.raises(InvalidState):
        Scaled.__new__(Scaled).__setstate__(encoded)


def test_an_unfitted_one_with_a_fitted_detector_is_refused():
    encoded = Scaled(DBSCAN()).__getstate__() | {"detector_": DBSCAN().fit(ROWS)}
    with pytest.raises(InvalidState):
        Scaled.__new__(Scaled).__setstate__(encoded)
