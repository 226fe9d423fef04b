import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from detectors.sub_pca import SubPCA
from detectors.sub_pca_kernels import window_products
from tests.detectors.series import bumpy, column


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


def test_rows_shorter_than_the_window_have_no_verdict():
    detector = SubPCA(window=25).fit(column(bumpy()))
    few = column(bumpy()[:24])
    assert not detector.has_verdict(few).any()
    assert np.isnan(detector.limits(few).mid).all()
    assert detector.has_verdict(few, history="fitted").all()
