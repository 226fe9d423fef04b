import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import inne_order
from detectors.inne_order import CELL, EDGE, GROUP, MOST_ROWS, RECORD
from tests import strategies


def in_order(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features in order, the places that they had, and where cells begin."""
    records, cells = inne_order.sort(rows, 1.0, np.zeros(4), 1.0)
    records = records.reshape(-1, RECORD)
    return records[:, :4], records[:, 4].astype(int), cells


@settings(max_examples=60, deadline=None)
@given(strategies.many_rows(), st.integers(1, 700))
def test_every_row_has_its_place_and_its_features(rows, n_rows):
    rows = rows[:n_rows]
    features, places, cells = in_order(rows)
    assert sorted(places) == list(range(len(rows)))
    np.testing.assert_array_equal(features[:, : rows.shape[1]], np.clip(rows, -EDGE, EDGE)[places].astype(np.float32))
    assert (features[:, rows.shape[1] :] == 0).all()
    assert cells[0] == 0
    assert cells[-1] == -(-len(rows) // GROUP)
    assert np.diff(cells).min() >= 1
    assert np.diff(cells).max() <= CELL // GROUP


def extent(features: np.ndarray, size: int) -> float:
    """The mean over spans of so many rows of their widest feature."""
    spans = [features[start : start + size] for start in range(0, len(features), size)]
    return float(np.mean([np.ptp(span, axis=0).max() for span in spans]))


@pytest.mark.parametrize("n_features", [1, 2, 4])
def test_rows_that_follow_each_other_lie_near_each_other(n_features):
    rows = np.random.default_rng(0).uniform(size=(16 * CELL, n_features))
    features, _, _ = in_order(rows)
    # A cube of which there are 16 has edges of 16 ** (-1 / n_features), and a box is at most twice as long as wide.
    assert extent(features, CELL) < 2.0 * 16 ** (-1 / n_features)
    assert extent(rows, CELL) > 0.9


def test_clusters_are_told_apart():
    random = np.random.default_rng(0)
    rows = random.normal(size=(3 * 160, 4)) * 0.01 + random.permutation(np.repeat([[0.0], [1.0], [2.0]], 160, axis=0))
    features, _, _ = in_order(rows)
    assert (np.ptp(np.round(features[:, 0]).reshape(-1, GROUP), axis=1) == 0).all()


@pytest.mark.parametrize("kind", ["sorted", "backwards", "outliers", "few values", "alike", "two halves"])
def test_awkward_rows_take_hardly_longer(kind):
    random = np.random.default_rng(0)
    ordinary = random.normal(size=(MOST_ROWS, 2))
    rows = {
        "sorted": np.sort(ordinary, axis=0),
        "backwards": np.sort(ordinary, axis=0)[::-1],
        "outliers": np.sign(ordinary) * 2.0 ** random.integers(-100, 2, (MOST_ROWS, 1)),
        "few values": np.round(ordinary),
        "alike": np.ones((MOST_ROWS, 2)),
        "two halves": np.vstack([np.sort(ordinary[::2], axis=0), np.sort(ordinary[1::2], axis=0)[::-1]]),
    }[kind]
    seconds = {name: min(timed(given) for _ in range(3)) for name, given in (("odd", rows), ("even", ordinary))}
    assert seconds["odd"] < 5 * seconds["even"]


def timed(rows: np.ndarray) -> float:
    start = time.process_time()
    in_order(rows)
    return time.process_time() - start
