import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.blocks import for_each_block, rows_a_block, thread_count, threads


@given(st.integers(0, 200), st.integers(1, 50), st.integers(1, 4))
def test_every_row_is_worked_on_once(n_rows, block_rows, count):
    visits = np.zeros(n_rows, np.int64)

    def work(start, stop):
        visits[start:stop] += 1

    with threads(count):
        for_each_block(work, n_rows, block_rows)
    assert (visits == 1).all()


def test_several_threads_work_at_the_same_time():
    both_are_here = threading.Barrier(2, timeout=30)
    with threads(2):
        for_each_block(lambda start, stop: both_are_here.wait(), 20, 10)


def test_one_block_or_one_thread_stays_on_the_caller_s():
    seen = []

    def work(start, stop):
        seen.append((threading.current_thread(), start, stop))

    with threads(4):
        for_each_block(work, 10, 10)
    with threads(1):
        for_each_block(work, 30, 10)
    assert seen == [(threading.current_thread(), 0, 10), (threading.current_thread(), 0, 30)]


def test_an_error_in_a_block_reaches_the_caller():
    def work(start, stop):
        if start == 20:
            raise KeyError(start)

    with threads(2), pytest.raises(KeyError, match="20"):
        for_each_block(work, 40, 10)


def test_no_thread_outlives_the_call():
    before = threading.active_count()
    with threads(3):
        for_each_block(lambda start, stop: None, 100, 1)
    assert threading.active_count() == before


def test_threads_holds_inside_its_block_only():
    outside = thread_count()
    with threads(3):
        assert thread_count() == 3
        with threads(1):
            assert thread_count() == 1
        assert thread_count() == 3
    assert thread_count() == outside


def test_the_environment_decides_unless_told_otherwise(monkeypatch):
    monkeypatch.setenv("INLIER_THREADS", "5")
    assert thread_count() == 5
    with threads(2):
        assert thread_count() == 2
    monkeypatch.setenv("INLIER_THREADS", "")
    assert thread_count() >= 1
    monkeypatch.setenv("INLIER_THREADS", "0")
    assert thread_count() == 1


@pytest.mark.parametrize("asked", ["many", "-1", "1.5"])
def test_a_wrong_number_of_threads_is_named(monkeypatch, asked):
    monkeypatch.setenv("INLIER_THREADS", asked)
    with pytest.raises(ValueError, match=f"INLIER_THREADS='{asked}'"):
        thread_count()


def test_larger_blocks_are_enough_for_every_thread():
    with threads(3):
        assert rows_a_block(10, 1024) == 1024
        assert rows_a_block(1_000_000, 1024) == 166_667
