"""Time stamps of a series: where they come from, their order, and time spans such as ``"1h"``.

Data frames are recognised by what they can do, so that detectors import no pandas.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel

IntArray = npt.NDArray[np.int64]

TimeArray = npt.NDArray[np.datetime64]

FIRST_YEAR, LAST_YEAR = 1678, 2261
"""Between them, a 64-bit count of nanoseconds since 1970 holds every time."""

_CHUNK = 1024

_UNITS = {
    name: length
    for length, names in (
        (1, "ns nanosecond nanoseconds"),
        (10**3, "us µs microsecond microseconds"),
        (10**6, "ms millisecond milliseconds"),
        (10**9, "s sec second seconds"),
        (60 * 10**9, "min t m minute minutes"),
        (3600 * 10**9, "h hr hour hours"),
        (24 * 3600 * 10**9, "d day days"),
        (7 * 24 * 3600 * 10**9, "w week weeks"),
    )
    for name in names.split()
}
_PART = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)?\s*([^\W\d_]+)\s*")


def span_in_ns(text: str) -> int:
    """The length of a time span.

    Parameters
    ----------
    text : str
        Numbers with units, e.g. ``"1h"``, ``"90 s"``, ``"1d 12h"``, ``"1.5min"``; units are ns, us, ms, s, min, h, d
        and w or their names in full. A unit alone is one of it.

    Returns
    -------
    int
        Nanoseconds, at least 1.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> span_in_ns("1h30min")
    5400000000000
    """
    total = Fraction(0)
    position = 0
    while part := _PART.match(text, position):
        unit = _UNITS.get(part[2].lower())
        if unit is None or part[2] == "M":  # a month to some, a minute to others
            break
        total += Fraction(part[1] or 1) * unit
        position = part.end()
    length = round(total)
    if position != len(text) or not 1 <= length <= np.iinfo(np.int64).max:
        raise ValueError(f"{text!r} is not a time span such as '1h', '30min' or '1d'")
    return length


def times_of(X: Any, times: Any, n_rows: int) -> TimeArray | None:
    """The time stamps of a series, if it has any.

    Parameters
    ----------
    X : array-like
        The series; a data frame may have a DatetimeIndex.
    times : array-like of datetime64 or None
        Stamps given beside it; they come first.
    n_rows : int
        How many there must be.

    Returns
    -------
    ndarray of shape (n_rows,), datetime64 of any unit, or None
        UTC for stamps with a zone, as given otherwise; None if rows are simply in order.

    Raises
    ------
    ValueError
        For what is no time, or a wrong number of them.
    """
    if times is None:
        times = getattr(X, "index", None)
        if getattr(getattr(times, "dtype", None), "kind", None) != "M":
            return None
    stamps = _as_datetimes(times)
    if stamps.shape != (n_rows,):
        raise ValueError(f"times: {len(stamps)} time stamps for {n_rows} rows")
    return stamps


def _as_datetimes(times: Any) -> TimeArray:
    if hasattr(times, "to_numpy") and getattr(times.dtype, "kind", None) == "M":
        zoned = not isinstance(times.dtype, np.dtype)
        return np.ascontiguousarray(times.to_numpy(dtype="datetime64[ns]") if zoned else times.to_numpy())
    given = np.asarray(times)
    if given.ndim != 1:
        raise ValueError(f"times: one stamp a row, in one dimension, not an array of shape {given.shape}")
    numeric = any(isinstance(stamp, (int, float)) for stamp in given) if given.dtype.kind == "O" else False
    if numeric or given.dtype.kind not in "MOU":
        raise ValueError(f"times: datetime64 stamps, not {given.dtype}: a number has no unit")
    if given.dtype.kind != "M":
        try:
            given = given.astype("datetime64[us]" if given.dtype.kind == "O" else "datetime64")
        except (TypeError, ValueError) as error:
            raise ValueError(f"times: {error}") from error
    if np.datetime_data(given.dtype)[0] == "generic":
        given = given.astype("datetime64[s]")  # not one stamp among them
    return np.ascontiguousarray(given)


def in_ns(stamps: TimeArray) -> IntArray:
    """Stamps as a count of nanoseconds.

    Parameters
    ----------
    stamps : ndarray of datetime64
        Without NaT.

    Returns
    -------
    ndarray of int64
        Nanoseconds since the epoch.

    Raises
    ------
    ValueError
        For a time that they cannot hold.
    """
    if np.datetime_data(stamps.dtype) != ("ns", 1):
        years = stamps.astype("datetime64[Y]").astype(np.int64) + 1970  # to a coarser unit, which holds them all
        beyond = np.flatnonzero((years < FIRST_YEAR) | (years > LAST_YEAR))
        if len(beyond):
            raise ValueError(f"times: {stamps[beyond[0]]} is out of the years {FIRST_YEAR} to {LAST_YEAR}")
    return stamps.astype("datetime64[ns]").view(np.int64)


@kernel
def _increases(stamps: IntArray) -> bool:
    earlier, later = stamps[:-1], stamps[1:]
    for start in range(0, later.shape[0], _CHUNK):
        before, after = earlier[start : start + _CHUNK], later[start : start + _CHUNK]
        wrong = 0
        for row in range(after.shape[0]):  # without a way out of the loop, several rows are compared at once
            wrong += after[row] <= before[row]
        if wrong:
            return False
    return True


@dataclass(frozen=True)
class Order:
    """Rows in time order, one a stamp.

    Attributes
    ----------
    kept : ndarray of int64
        The rows that count, in time order: of rows with the same stamp, the first.
    place : ndarray of shape (n_rows,), int64
        Where in `kept` each row, or the one it repeats, stands.
    """

    kept: IntArray
    place: IntArray


def time_order(stamps: TimeArray) -> Order | None:
    """Find the time order of rows.

    Parameters
    ----------
    stamps : ndarray of shape (n_rows,), datetime64
        Their times.

    Returns
    -------
    Order or None
        None if the rows are in order already, each with its own stamp.

    Raises
    ------
    ValueError
        For a missing stamp (NaT), naming its position.
    """
    if _increases(stamps.view(np.int64)) and not np.isnat(stamps[:1]).any():  # NaT is the least of numbers
        return None
    missing = np.flatnonzero(np.isnat(stamps))
    if len(missing):
        raise ValueError(f"times: row {missing[0]} (counted from 0) has no time stamp (NaT)")
    order = np.argsort(stamps, kind="stable")
    ordered = stamps[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    place = np.empty(len(stamps), np.int64)
    place[order] = np.cumsum(first) - 1
    return Order(kept=order[first], place=place)
