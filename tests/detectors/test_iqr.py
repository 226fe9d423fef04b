import numpy as np
import pytest

from detectors.iqr import IQR

TRAINING = np.arange(101.0)[:, None]  # quartiles 25 and 75, median 50


@pytest.mark.parametrize(
    ("c", "low", "high"),
    [
        (0.0, 25.0, 75.0),
        (0.5, 0.0, 100.0),
        (1, -25.0, 125.0),
        ((1.0, 2.0), -25.0, 175.0),
        ([1.0, 2.0], -25.0, 175.0),
        ((None, 0.5), -np.inf, 100.0),
        ((0.5, None), 0.0, np.inf),
        (np.float64(0.5), 0.0, 100.0),
        ((np.float32(0.5), np.int64(1)), 0.0, 125.0),
    ],
)
def test_limits_are_multiples_of_the_range_beyond_the_quartiles(c, low, high):
    detector = IQR(c=c).fit(TRAINING)
    assert (detector.low_[0], detector.mid_[0], detector.high_[0]) == (low, 50.0, high)


def test_only_what_is_strictly_beyond_a_limit_is_flagged():
    detector = IQR(c=0.5).fit(TRAINING)
    rows = np.array([[-1e-9], [0.0], [50.0], [100.0], [100.00001]])
    assert detector.predict(rows).tolist() == [-1, 1, 1, 1, -1]
    np.testing.assert_allclose(detector.anomaly_score(rows), [0.5, 0.5, 0.0, 0.5, 0.5], atol=1e-6)


def test_the_score_is_r_over_1_plus_r_from_the_median():
    scores = IQR(c=(1.0, 0.5)).fit(TRAINING).anomaly_score([[-25.0], [12.5], [75.0], [150.0], [200.0]])
    np.testing.assert_allclose(scores, [0.5, 1 / 3, 1 / 3, 2 / 3, 0.75])


def test_an_open_side_scores_0():
    detector = IQR(c=(None, 0.5)).fit(TRAINING)
    assert detector.anomaly_score([[-1e300]])[0] == 0.0
    assert detector.predict([[-1e300], [101.0]]).tolist() == [1, -1]


def test_the_median_is_clipped_to_the_band():
    detector = IQR(c=0.0).fit([[0.0], [0.0], [0.0], [0.0], [9.0]])
    assert (detector.low_[0], detector.mid_[0], detector.high_[0]) == (0.0, 0.0, 0.0)
    assert detector.anomaly_score([[0.0], [1e-300]]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "c",
    [
        -1.0,
        np.nan,
        np.inf,
        None,
        "3",
        (1.0,),
        (1.0, 2.0, 3.0),
        (None, None),
        (-1.0, 1.0),
        (1.0, np.nan),
        ("1", 2.0),
        (),
    ],
)
def test_another_c_is_refused(c):
    with pytest.raises(ValueError, match=r"c'? .*(must be|is a number or a pair|has .* in it)"):
        IQR(c=c).fit(TRAINING)


def test_a_range_beyond_the_floats_flags_nothing():
    training = np.array([[-1.7e308], [-1.7e308], [1.7e308], [1.7e308]])
    for c in (0.0, 3.0):
        detector = IQR(c=c).fit(training)
        assert np.isfinite(detector.mid_).all()
        assert (detector.predict(training) == 1).all()
        assert (detector.anomaly_score(training) <= 0.5).all()
