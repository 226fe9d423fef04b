"""Histograms of whatever values there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.histograms import FEATURE_BINS, SCORE_BINS, Histogram

values = arrays(np.float64, st.integers(0, 50), elements=st.floats(allow_infinity=False))


@given(values)
def test_every_value_is_counted_between_its_edges(column: np.ndarray) -> None:
    histogram = Histogram.of_feature(column)
    known = column[~np.isnan(column)]
    assert histogram.edges.shape == (FEATURE_BINS + 1,)
    assert histogram.counts.shape == (FEATURE_BINS,)
    assert histogram.counts.dtype == np.int64
    assert histogram.counts.sum() == len(known)
    assert np.isfinite(histogram.edges).all()
    assert (np.diff(histogram.edges) >= 0).all()
    if len(known):
        assert histogram.edges[0] <= known.min()
        assert known.max() <= histogram.edges[-1]


def test_counts_are_numpys() -> None:
    column = np.random.RandomState(0).standard_normal(10_000)
    counts, edges = np.histogram(column, FEATURE_BINS)
    histogram = Histogram.of_feature(column)
    assert np.allclose(histogram.edges, edges)
    assert np.abs(histogram.counts - counts).sum() <= 2


@given(
    arrays(np.int64, st.integers(1, 50), elements=st.integers(0, 130)),
    st.integers(-20, 20) | st.sampled_from([12_345, 10**12, 2**52]),
    st.sampled_from([1e-3, 0.01, 0.1, 0.2, 0.5, 1, 7, 100]),
)
def test_a_value_on_an_edge_is_in_the_bin_that_starts_there(places: np.ndarray, first: int, step: float) -> None:
    column = np.round((first + places) * step, 6)
    histogram = Histogram.of_feature(column)
    assert histogram.counts.tolist() == np.histogram(column, histogram.edges)[0].tolist()


@pytest.mark.parametrize("value", [0.0, -3.5, 1e17, -1.7e308])
def test_a_constant(value: float) -> None:
    histogram = Histogram.of_feature(np.full(7, value))
    assert histogram.counts.sum() == 7
    assert histogram.edges[0] <= value <= histogram.edges[-1]


def test_scores_lie_between_0_and_1() -> None:
    histogram = Histogram.of_scores(np.array([0.0, 0.5, 1.0, 1.0]))
    assert histogram.edges.tolist() == np.linspace(0.0, 1.0, SCORE_BINS + 1).tolist()
    assert histogram.counts[[0, SCORE_BINS // 2, -1]].tolist() == [1, 1, 2]
    assert histogram.as_dict()["counts"][-1] == 2
