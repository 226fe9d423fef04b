"""Time columns: which column is one, how its cells are read, and how times are written back.

A cell is an ISO 8601 time, with or without a zone (one column has either everywhere or nowhere; zones are turned into
UTC), or a number counted since 1970-01-01 UTC. What it counts follows from the largest of the column: below 1e10
seconds (until 2286), below 1e13 milliseconds, below 1e16 microseconds, else nanoseconds.

pandas is imported where it is needed: a microservice seldom does.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Times = npt.NDArray[np.datetime64]

TIME_NAMES = frozenset({"time", "timestamp", "time_stamp", "date", "datetime", "date_time", "ds", "ts"})
"""What a first column is called, in any case, if it holds times."""

_UNITS = (("s", 1e10, 10**9), ("ms", 1e13, 10**6), ("us", 1e16, 10**3), ("ns", np.inf, 1))
_LOOKS_LIKE_TIME = re.compile(
    r"\s*\d{4}-\d\d(-\d\d)?([T ]\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?)?\s*(Z|[+-]\d\d:?(\d\d)?)?\s*", re.ASCII
)
_USUAL_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]([01]\d|2[0-3]):\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
"""What Python and pandas read alike."""
_ZONE = re.compile(r"(?:[zZ]|[T: ]\d[\d:.,]* *[+-]\d\d:?(?:\d\d)?)\s*$", re.ASCII)
_NOW = ("now", "today")
"""What pandas takes for another time at every read."""
_DECIMAL_COMMA = re.compile(r"([T ][\d:]+),(?=\d)", re.ASCII)
_FIRST, _LAST = 1678, 2261  # the whole years that 64 bits of nanoseconds hold


def is_time_name(name: str) -> bool:
    """Whether a first column of that name holds times.

    Parameters
    ----------
    name : str
        From a header.

    Returns
    -------
    bool
        True for those of `TIME_NAMES`.

    Examples
    --------
    >>> is_time_name("Time"), is_time_name("lifetime")
    (True, False)
    """
    return name.strip().casefold() in TIME_NAMES


def looks_like_time(cell: str) -> bool:
    """Whether a cell is written like a date, as no number is.

    Parameters
    ----------
    cell : str
        Of a text file.

    Returns
    -------
    bool
        True for ``2024-05-01`` and ``2024-05-01T12:00Z``, False for ``20240501``.
    """
    return _LOOKS_LIKE_TIME.fullmatch(cell) is not None


def has_zone(cell: str) -> bool:
    """Whether an ISO time names its zone.

    Parameters
    ----------
    cell : str
        Of a text file.

    Returns
    -------
    bool
        True for ``2024-05-01T12:00Z`` and ``2024-05-01 12:00:00+02:00``.
    """
    return _ZONE.search(cell) is not None


def from_iso(cells: "pd.Series[str]", zoned: bool) -> Times:
    """Read ISO times.

    Parameters
    ----------
    cells : Series of str
        Of one column.
    zoned : bool
        Whether they name zones.

    Returns
    -------
    ndarray of datetime64[ns]
        UTC if they do.

    Raises
    ------
    ValueError
        If one is missing, is no time, is out of the years 1678 to 2261, or names a zone where others don't.
    """
    import pandas as pd

    mixes_zones = int(pd.__version__.partition(".")[0]) < 3  # with a warning; later it is an error
    if cells.isna().any():
        raise ValueError("a time is missing")
    if zoned and not cells.map(has_zone).all():
        raise ValueError("a time without zone among times with one")
    if not zoned and mixes_zones and cells.map(has_zone).any():
        raise ValueError("a time with a zone among times without")
    times = _parsed(cells, zoned)
    if times.dtype.kind != "M" or times.isna().any():
        raise ValueError("a time is missing")
    if not zoned and getattr(times.dt, "tz", None) is not None:
        raise ValueError("a time with a zone among times without")
    years = times.dt.year
    if len(years) and not (years.min() >= _FIRST and years.max() <= _LAST):
        raise ValueError(f"a time out of the years {_FIRST} to {_LAST}")
    return np.asarray(times.to_numpy(dtype="datetime64[ns]"))


def iso_fault(cell: str, zoned: bool) -> str | None:
    """What is wrong with one ISO time.

    Parameters
    ----------
    cell : str
        Of a text file.
    zoned : bool
        Whether the column's first time names a zone.

    Returns
    -------
    str or None
        None if nothing is.
    """
    try:
        year = _year(cell)
    except ValueError:
        return f"{cell[:40]!r} is no time such as 2024-05-01 12:00:00"
    if has_zone(cell) != zoned:
        return f"{cell!r} has {'no' if zoned else 'a'} time zone, the first time has {'one' if zoned else 'none'}"
    if not _FIRST <= year <= _LAST:
        return f"{cell!r} is out of the years {_FIRST} to {_LAST}"
    return None


def _year(cell: str) -> int:
    """The year of a time, 0 if it is one that pandas cannot hold."""
    if _USUAL_TIME.fullmatch(cell):
        return datetime.fromisoformat(cell).year
    import pandas as pd

    try:
        return int(_parsed(pd.Series([cell], dtype=str), has_zone(cell)).dt.year[0])
    except pd.errors.OutOfBoundsDatetime:
        return 0


def _parsed(cells: "pd.Series[str]", zoned: bool) -> "pd.Series[pd.Timestamp]":
    """Cells as pandas reads them, and with a comma before the fraction, which ISO 8601 allows."""
    import pandas as pd

    if cells.isin(_NOW).any():
        raise ValueError("a time is none such as 2024-05-01 12:00:00")
    if cells.str.contains(",", regex=False).any():
        cells = cells.str.replace(_DECIMAL_COMMA, r"\1.", regex=True)
    return pd.to_datetime(cells, format="ISO8601", utc=zoned)


def from_numbers(
    numbers: npt.NDArray[np.int64] | npt.NDArray[np.float64], unit: str | None = None
) -> tuple[Times, str]:
    """Read counts since 1970.

    Parameters
    ----------
    numbers : ndarray of int64 or float64
        Finite.
    unit : {"s", "ms", "us", "ns"}, optional
        What they count; found from the largest if None.

    Returns
    -------
    times : ndarray of datetime64[ns]
        Rounded to microseconds if the numbers are fractional: a float64 knows no better today.
    unit : str
        What they were taken to count.

    Raises
    ------
    ValueError
        For years that 64 bits of nanoseconds cannot hold.

    Examples
    --------
    >>> from_numbers(np.array([1727161197]))
    (array(['2024-09-24T06:59:57.000000000'], dtype='datetime64[ns]'), 's')
    """
    largest = max(abs(float(numbers.min())), abs(float(numbers.max()))) if len(numbers) else 0.0
    unit = unit or next(name for name, below, _ in _UNITS if largest < below)
    length = next(length for name, _, length in _UNITS if name == unit)
    if largest * length >= 2.0**63:
        raise ValueError(f"{largest:g} {unit} since 1970 is out of the years {_FIRST} to {_LAST}")
    whole = numbers.astype(np.int64)
    if numbers.dtype.kind == "f" and (whole != numbers).any():
        # the whole part first: seconds of today times 1e9 have no room for nanoseconds in a float
        part = np.round((numbers - whole) * (length / 1000)).astype(np.int64) * 1000
        return (whole * length + part).view("datetime64[ns]"), unit
    return (whole * length).view("datetime64[ns]"), unit


def from_values(values: Sequence[object], unit: str | None = None) -> Times:
    """Read times of a request: ISO texts, or numbers.

    Parameters
    ----------
    values : sequence of str or of numbers
        One a row.
    unit : {"s", "ms", "us", "ns"}, optional
        What numbers count; found from the largest if None.

    Returns
    -------
    ndarray of datetime64[ns]
        UTC where zones are named.

    Raises
    ------
    ValueError
        Names the value that is no time.

    Examples
    --------
    >>> from_values(["2024-05-01 12:00:00"])
    array(['2024-05-01T12:00:00.000000000'], dtype='datetime64[ns]')
    """
    first = values[0] if len(values) else 0
    if isinstance(first, str):
        zoned = has_zone(first)
        for value in values:
            fault = iso_fault(value, zoned) if isinstance(value, str) else f"{value!r} is no text, as the first time is"
            if fault:
                raise ValueError(fault)
        return _from_texts([str(value) for value in values], zoned)
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "if" or numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ValueError("a time is missing, or is neither a number nor a text such as 2024-05-01 12:00:00")
    return from_numbers(numbers, unit)[0]


def _from_texts(texts: list[str], zoned: bool) -> Times:
    """Read ISO times: those of the usual form without pandas, which a microservice would import for nothing else."""
    try:
        if all(map(_USUAL_TIME.fullmatch, texts)):
            times = [datetime.fromisoformat(text) for text in texts]
            if zoned:
                times = [time.astimezone(UTC).replace(tzinfo=None) for time in times]
            if all(_FIRST <= time.year <= _LAST for time in times):
                return np.array(times, dtype="datetime64[us]").astype("datetime64[ns]")
    except (ValueError, OverflowError):  # pandas may know it, or say what is wrong
        pass
    import pandas as pd

    return from_iso(pd.Series(texts, dtype=str), zoned)


def finest_unit(times: Times) -> str:
    """The longest unit that every time is a whole number of.

    Parameters
    ----------
    times : ndarray of datetime64[ns]
        Of a whole column.

    Returns
    -------
    {"s", "ms", "us", "ns"}
        For `formatted`.

    Examples
    --------
    >>> finest_unit(np.array(["2024-05-01T12:00:00", "2024-05-01T12:00:00.5"], "datetime64[ns]"))
    'ms'
    """
    nanoseconds = times.view(np.int64)
    return next(name for name, _, length in _UNITS if not (nanoseconds % length).any())


def formatted(
    times: Times, unit: str | None, finest: str | None = None
) -> "pd.Series[str] | npt.NDArray[np.int64] | npt.NDArray[np.float64]":
    """Times as the file they came from writes them.

    Parameters
    ----------
    times : ndarray of datetime64[ns]
        UTC where the file names zones.
    unit : str or None
        `Features.time_unit`.
    finest : {"s", "ms", "us", "ns"}, optional
        `finest_unit` of the column that these are a part of; of themselves if None.

    Returns
    -------
    Series of str, or ndarray
        ISO times, as short as the finest of them allows, with ``+00:00`` where there were zones; or numbers.
    """
    import pandas as pd

    finest = finest or finest_unit(times)
    lengths = {name: length for name, _, length in _UNITS}
    if unit in lengths:
        whole, part = np.divmod(times.view(np.int64), lengths[unit])
        return whole if lengths[finest] >= lengths[unit] else whole + part / lengths[unit]
    text = pd.Series(np.datetime_as_string(times, unit=finest)).str.replace("T", " ", n=1, regex=False)  # type: ignore[call-overload]
    return text + "+00:00" if unit == "iso-utc" else text
