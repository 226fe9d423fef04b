import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from detectors.sub_pca import SubPCA
from detectors.sub_pca_kernels import window_products


def column(values):
    return np.asarray(values, dtype=np.float64)[:, np.newaxis]


def bumpy(n_rows=600, seed=0):
    random = np.random.default_rng(seed)
    values = np.sin(np.arange(n_rows) * 2 * np.pi / 25) + 0.1 * random.normal(size=n_rows)
    values[400:410] += 5.0
    return values


def windows_of(values, window):
    return np.lib.stride_tricks.sliding_window_view(values, window)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(0, 100), st.integers(0, 2**32 - 1))
def test_products_are_those_of_all_windows(window, more, seed):
    values = np.random.default_rng(seed).normal(size=window + more)
    products = np.empty((window, window))
    window_products(values, window, products)
    copied = windows_of(values, window)
    np.testing.assert_allclose(products, copied.T @ copied, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(40, 150), st.integers(3, 12), st.booleans(), st.integers(0, 2**32 - 1))
def test_with_all_directions_it_is_mahalanobis_distance_with_the_largest_variance_added(n_rows, window, walks, seed):
    values = np.random.default_rng(seed).normal(size=n_rows)
    values = values.cumsum() if walks else values
    detector = SubPCA(window=window, n_components=window, align="end").fit(column(values))
    copied = windows_of((values - values.mean()) / values.std(), window)
    covariance = copied.T @ copied
    largest = np.linalg.eigvalsh(covariance)[-1]
    weights = np.linalg.inv(covariance + largest * np.eye(window)) * largest
    expected = np.sqrt(np.einsum("ni,ij,nj->n", copied, weights, copied) / window)
    np.testing.assert_allclose(detector.errors(column(values))[window - 1 :, 0], expected, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["center", "end"]), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.booleans())
def test_another_scale_gives_the_same_scores(align, shift, scale, turned):
    values, sign = bumpy(), -1.0 if turned else 1.0
    scores = SubPCA(align=align).fit(column(values)).anomaly_score(column(values))
    moved = column(shift + sign * scale * values)
    np.testing.assert_allclose(SubPCA(align=align).fit(moved).anomaly_score(moved), scores, atol=1e-6)


def test_a_shape_is_found_where_it_is():
    flagged = np.flatnonzero(SubPCA(window=25).fit_predict(column(bumpy())) == -1)
    assert 380 <= flagged.min() < 400
    assert 410 < flagged.max() <= 425


@pytest.mark.parametrize("align", ["center", "end"])
def test_limits_are_where_the_score_is_a_half(align):
    values = bumpy()
    detector = SubPCA(window=25, align=align).fit(column(values))
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


def test_centred_verdicts_stay_but_for_the_last_half_window():
    values = column(bumpy())
    detector = SubPCA(window=25).fit(values)
    whole = detector.anomaly_score(values)
    for length in (100, 333, 450):
        np.testing.assert_array_equal(detector.anomaly_score(values[:length])[: length - 13], whole[: length - 13])


def test_the_same_bits_on_any_number_of_blas_threads():
    values = column(np.random.default_rng(0).normal(size=2000).cumsum())
    states = []
    for count in (1, 4):
        with threadpool_limits(count):
            states.append(SubPCA(window=300).fit(values).__getstate__())
    assert states[0] == states[1]


def test_columns_with_windows_of_their_own_are_as_alone():
    rows = np.arange(2000)
    both = np.column_stack([np.sin(rows * 2 * np.pi / 120), np.sin(rows * 2 * np.pi / 150)])
    detector = SubPCA().fit(both)
    assert list(detector.windows_) == [120, 150]
    for index in (0, 1):
        alone = SubPCA().fit(both[:, [index]])
        np.testing.assert_array_equal(alone.errors(both[:, [index]])[:, 0], detector.errors(both)[:, index])


def test_missing_values_are_bridged_but_have_no_verdict():
    values = bumpy()
    values[[0, 7, 100, 101, 550]] = np.nan
    values[200:260] = np.nan
    detector = SubPCA(window=25).fit(column(values))
    known = detector.has_verdict(column(values))
    assert not known[[0, 7, 100, 101, 550]].any()
    assert not known[200:260].any()
    assert known[[8, 99, 102, 300, 549, 551]].all()
    assert (detector.predict(column(values)) == -1)[395:415].any()


@pytest.mark.parametrize("value", [0.0, 5.0, -1e300, 1e-300])
def test_a_constant_series_is_normal_and_what_leaves_it_is_not(value):
    values = np.full((200, 1), value)
    detector = SubPCA().fit(values)
    assert (detector.predict(values) == 1).all()
    values[100] += max(1.0, abs(value))
    assert detector.predict(values)[100] == -1


@pytest.mark.parametrize("n_rows", [2, 3, 4, 7, 10, 20])
def test_tiny_series_are_judged(n_rows):
    values = column(np.random.default_rng(n_rows).normal(size=n_rows))
    scores = SubPCA().fit(values).anomaly_score(values)
    assert ((scores >= 0.0) & (scores <= 1.0)).all()


def test_rows_shorter_than_the_window_have_no_verdict():
    detector = SubPCA(window=25).fit(column(bumpy()))
    few = column(bumpy()[:24])
    assert not detector.has_verdict(few).any()
    assert np.isnan(detector.limits(few).mid).all()
    assert detector.has_verdict(few, history="fitted").all()
