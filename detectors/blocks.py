"""Many rows over several threads: a pool over blocks of rows, each computed by a kernel that releases the lock."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

import joblib

_BLOCKS_A_THREAD = 2
"""So that a thread that is held up leaves work to the others."""

_threads: ContextVar[int | None] = ContextVar("threads", default=None)


def thread_count() -> int:
    """Threads a detector may use: `threads`, else ``INLIER_THREADS``, else the processors this process may use.

    Returns
    -------
    int
        At least 1. Processors are counted within the limits of a container.

    Raises
    ------
    ValueError
        If ``INLIER_THREADS`` is not a number.
    """
    chosen = _threads.get()
    if chosen is not None:
        return max(1, chosen)
    asked = os.environ.get("INLIER_THREADS", "").strip()
    if not asked:
        return max(1, int(joblib.cpu_count()))
    if not asked.isdecimal():
        raise ValueError(f"INLIER_THREADS={asked!r} should be a number of threads")
    return max(1, int(asked))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Use `count` threads inside a ``with`` block.

    Parameters
    ----------
    count : int
        At least 1. Scores are the same bits whatever it is.
    """
    token = _threads.set(count)
    try:
        yield
    finally:
        _threads.reset(token)


def for_each_block(work: Callable[[int, int], None], n_rows: int, block_rows: int) -> None:
    """Call ``work(start, stop)`` for consecutive blocks of rows, on several threads if there is more than one block.

    Parameters
    ----------
    work : callable
        Handles the rows ``start <= row < stop`` and writes its result to an array of its caller's.
    n_rows : int
        How many rows there are.
    block_rows : int
        How many make a block.
    """
    starts = range(0, n_rows, block_rows)
    workers = min(thread_count(), len(starts)) if len(starts) > 1 else 1  # counting processors takes 30 us
    if workers <= 1:
        if n_rows:
            work(0, n_rows)
        return
    # A pool a call: it costs 0.1 ms where a block costs more, and no thread outlives a fork.
    with ThreadPoolExecutor(workers, thread_name_prefix="inlier") as pool:
        for _ in pool.map(lambda start: work(start, min(start + block_rows, n_rows)), starts):
            pass


def rows_a_block(n_rows: int, least: int) -> int:
    """How many rows make a block where larger blocks are cheaper: enough blocks to share them out, and no more.

    Parameters
    ----------
    n_rows : int
        How many rows there are.
    least : int
        Fewer are not worth handing over to a thread.

    Returns
    -------
    int
        For `for_each_block`.
    """
    return max(least, -(-n_rows // (_BLOCKS_A_THREAD * thread_count()))) if n_rows > least else least
