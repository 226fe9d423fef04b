"""Rows in time order, one a stamp, perhaps with history before them; and the way back to the order of the input."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.base import FloatArray, IntArray
from detectors.times import Order, TimeArray, in_ns, time_order, times_of


@dataclass(frozen=True)
class Series:
    """Rows in time order, one a stamp.

    Attributes
    ----------
    values : ndarray of shape (n, d)
        The rows, history first.
    stamps : ndarray of shape (n,), datetime64, or None
        Their times, increasing; None if rows are simply in order.
    order : Order or None
        How the rows that are no history stood in the input; None if as here.
    n_earlier : int
        How many rows are history.
    """

    values: FloatArray
    stamps: TimeArray | None
    order: Order | None = None
    n_earlier: int = 0

    def column(self, index: int) -> FloatArray:
        """One column, contiguous.

        Parameters
        ----------
        index : int
            Which.

        Returns
        -------
        ndarray of shape (n,)
            Perhaps a part of the input.
        """
        return np.ascontiguousarray(self.values[:, index])

    def answer(self, found: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What was found for the rows here, for the rows of the input.

        Parameters
        ----------
        found : ndarray of shape (n, ...)
            For each row.

        Returns
        -------
        ndarray of shape (n_rows, ...)
            Without history, in the order of the input; a row that repeats a stamp gets what was found for the first.
        """
        current = found[self.n_earlier :]
        return current if self.order is None else current[self.order.place]


def in_time_order(rows: FloatArray, X: Any, times: Any) -> Series:
    """Put rows in time order.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, d)
        What was made of `X`.
    X : array-like
        May have a DatetimeIndex.
    times : array-like of datetime64 or None
        Stamps given beside it.

    Returns
    -------
    Series
        Of rows with the same stamp, the first.
    """
    stamps = times_of(X, times, len(rows))
    order = None if stamps is None else time_order(stamps)
    if stamps is None or order is None:
        return Series(rows, stamps)
    return Series(rows[order.kept], stamps[order.kept], order)


def preceded(series: Series, tail: FloatArray, tail_times: IntArray) -> Series:
    """Put history before a series.

    Parameters
    ----------
    series : Series
        Without history.
    tail : ndarray of shape (n_tail, d)
        Rows in time order.
    tail_times : ndarray of shape (n_tail,) or (0,), int64
        Their times in nanoseconds, if they have any.

    Returns
    -------
    Series
        If both have times, only what is older than the first row goes before it; otherwise rows are in order, without
        times.
    """
    stamps = series.stamps
    if stamps is not None and len(tail_times):
        counted = in_ns(stamps)
        n_older = int(np.searchsorted(tail_times, counted[0]))
        tail = tail[:n_older]
        stamps = np.concatenate([tail_times[:n_older], counted]).view("datetime64[ns]")
    elif len(tail):
        stamps = None
    return Series(np.concatenate([tail, series.values]), stamps, series.order, len(tail))
