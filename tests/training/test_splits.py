import numpy as np
import pytest

from training.splits import blocked, stratified


def test_rows_of_either_label_are_shared_out():
    labels = np.array([1] * 10 + [0] * 90)
    folds = stratified(labels, seed=0)
    assert np.bincount(folds).tolist() == [20] * 5
    assert np.bincount(folds[labels == 1]).tolist() == [2] * 5
    np.testing.assert_array_equal(folds, stratified(labels, seed=0))
    assert (folds != stratified(labels, seed=1)).any()


@pytest.mark.parametrize(("anomalies", "expected"), [(3, 3), (2, 2), (1, None), (0, None)])
def test_there_are_no_more_folds_than_anomalies(anomalies, expected):
    folds = stratified(np.array([1] * anomalies + [0] * 20), seed=0)
    assert (folds is None) == (expected is None)
    if folds is not None:
        assert len(np.unique(folds)) == expected


def test_a_series_is_cut_into_blocks_in_time_order():
    labels = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    times = np.arange(10)[::-1].astype("datetime64[s]").astype("datetime64[ns]")
    assert blocked(labels, None).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert blocked(labels, times).tolist() == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]


def test_a_series_with_all_anomalies_in_one_block_cannot_be_judged():
    assert blocked(np.array([1, 1] + [0] * 8), None) is None
