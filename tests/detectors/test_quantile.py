import numpy as np
import pytest

from detectors.quantile import Quantile

TRAINING = np.arange(101.0)[:, None]


@pytest.mark.parametrize(
    ("low", "high", "limits"),
    [
        (0.1, 0.9, (10.0, 50.0, 90.0)),
        (0, 1, (0.0, 50.0, 100.0)),
        (None, 0.75, (-np.inf, 50.0, 75.0)),
        (0.25, None, (25.0, 50.0, np.inf)),
        (0.6, 0.9, (60.0, 60.0, 90.0)),
        (0.5, 0.5, (50.0, 50.0, 50.0)),
        (None, 0.1, (-np.inf, 10.0, 10.0)),
    ],
)
def test_limits_are_quantiles_and_the_median_is_clipped_to_them(low, high, limits):
    detector = Quantile(low=low, high=high).fit(TRAINING)
    assert (detector.low_[0], detector.mid_[0], detector.high_[0]) == limits


def test_only_what_is_strictly_beyond_a_limit_is_flagged():
    detector = Quantile(low=0.1, high=0.9).fit(TRAINING)
    assert detector.predict([[9.999], [10.0], [90.0], [90.001]]).tolist() == [-1, 1, 1, -1]
    np.testing.assert_allclose(detector.anomaly_score([[130.0], [30.0]]), [2 / 3, 1 / 3])


def test_defaults_flag_two_in_a_thousand():
    rows = np.random.default_rng(0).normal(size=(10_000, 1))
    assert (Quantile().fit_predict(rows) == -1).sum() == 20


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"low": None, "high": None}, "at least one of low and high"),
        ({"low": 0.9, "high": 0.1}, "low = 0.9 is above high = 0.1"),
        ({"low": -0.1}, "'low' parameter"),
        ({"high": 1.1}, "'high' parameter"),
        ({"high": np.nan}, "'high' parameter"),
        ({"low": "0.1"}, "'low' parameter"),
    ],
)
def test_other_shares_are_refused(parameters, complaint):
    with pytest.raises(ValueError, match=complaint):
        Quantile(**parameters).fit(TRAINING)
