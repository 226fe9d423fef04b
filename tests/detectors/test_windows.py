"""What is true of every detector of series that judges windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from detectors.poly import POLY
from detectors.sub_pca import SubPCA
from tests.detectors.series import bumpy, column

windowed = pytest.mark.parametrize("made", [POLY, SubPCA])


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([POLY, SubPCA]),
    st.sampled_from(["center", "end"]),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
    st.booleans(),
)
def test_another_scale_gives_the_same_scores(made, align, shift, scale, turned):
    values, sign = bumpy(), -1.0 if turned else 1.0
    scores = made(align=align).fit(column(values)).anomaly_score(column(values))
    moved = column(shift + sign * scale * values)
    np.testing.assert_allclose(made(align=align).fit(moved).anomaly_score(moved), scores, atol=1e-6)


@windowed
def test_a_shape_is_found_where_it_is(made):
    flagged = np.flatnonzero(made(window=25).fit_predict(column(bumpy())) == -1)
    assert 380 <= flagged.min() < 400
    assert 410 < flagged.max() <= 425


@windowed
@pytest.mark.parametrize("align", ["center", "end"])
def test_limits_are_where_the_score_is_a_half(made, align):
    values = bumpy()
    detector = made(window=25, align=align).fit(column(values))
    low, mid, high = detector.limits(column(values))
    scores = detector.anomaly_score(column(values))
    checked = 0
    for row in range(40, 600, 13):
        if np.isnan(low[row, 0]):
            assert scores[row] > 0.5
            continue
        assert (scores[row] > 0.5) == (not low[row, 0] <= values[row] <= high[row, 0])
        for limit in (low[row, 0], high[row, 0]):
            changed = values.copy()
            changed[row] = limit
            assert detector.anomaly_score(column(changed))[row] == pytest.approx(0.5, abs=1e-9)
        changed = values.copy()
        changed[row] = mid[row, 0]
        assert detector.anomaly_score(column(changed))[row] <= scores[row] + 1e-12
        checked += 1
    assert checked > 20


@windowed
def test_columns_with_windows_of_their_own_are_as_alone(made):
    rows = np.arange(2000)
    both = np.column_stack([np.sin(rows * 2 * np.pi / 120), np.sin(rows * 2 * np.pi / 150)])
    detector = made().fit(both)
    assert list(detector.windows_) == [120, 150]
    for index in (0, 1):
        alone = made().fit(both[:, [index]])
        np.testing.assert_array_equal(alone.errors(both[:, [index]])[:, 0], detector.errors(both)[:, index])


@windowed
def test_missing_values_are_bridged_but_have_no_verdict(made):
    values = bumpy()
    values[[0, 7, 100, 101, 550]] = np.nan
    values[200:260] = np.nan
    detector = made(window=25).fit(column(values))
    known = detector.has_verdict(column(values))
    assert not known[[0, 7, 100, 101, 550]].any()
    assert not known[200:260].any()
    assert known[[8, 99, 102, 300, 549, 551]].all()
    assert (detector.predict(column(values)) == -1)[395:415].any()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([POLY(window=10, span=3), SubPCA(window=10), SubPCA(window=7, n_components=3)]),
    st.sampled_from(["center", "end"]),
    st.integers(2, 40),
    st.lists(st.tuples(st.integers(0, 1), st.integers(40, 140), st.integers(1, 60)), max_size=4),
)
def test_history_gives_what_the_whole_series_gives_whatever_is_missing(detector, align, ahead, gaps):
    values = np.random.default_rng(ahead).normal(size=(140, 2)).cumsum(axis=0)
    for index, start, length in gaps:
        values[start : start + length, index] = np.nan
    detector = clone(detector).set_params(align=align).fit(values[:100])
    whole = detector.column_scores(values[: 100 + ahead])
    for known in (100, 100 + ahead // 2):
        later = values[known : 100 + ahead]
        np.testing.assert_allclose(detector.column_scores(later, history="fitted"), whole[known:], atol=1e-9)
        detector.remember(later[: ahead // 2])


@windowed
@pytest.mark.parametrize("value", [0.0, 5.0, -1e300, 1e-300])
def test_a_constant_series_is_normal_and_what_leaves_it_is_not(made, value):
    values = np.full((200, 1), value)
    detector = made().fit(values)
    assert (detector.predict(values) == 1).all()
    values[100] += max(1.0, abs(value))
    assert detector.predict(values)[100] == -1


@windowed
@pytest.mark.parametrize("n_rows", [2, 3, 4, 7, 10, 20])
def test_tiny_series_are_judged(made, n_rows):
    values = column(np.random.default_rng(n_rows).normal(size=n_rows))
    scores = made().fit(values).anomaly_score(values)
    assert ((scores >= 0.0) & (scores <= 1.0)).all()
