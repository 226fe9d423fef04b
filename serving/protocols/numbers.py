"""Lists from JSON to arrays, and which cell is to blame when they are not numbers."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving.errors import BadData

NUMERIC: Final = "fiub"
"""Kinds of numpy's dtypes that are numbers; a truth value is 0 or 1."""
_FLOAT64: Final = np.dtype(np.float64)
_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "text", bytes: "bytes"}


def array(values: Any) -> npt.NDArray[Any]:
    """What numpy makes of a list.

    Parameters
    ----------
    values : list or ndarray
        As it came from JSON; an array stays as it is.

    Returns
    -------
    ndarray
        Of numbers if all of them are, else of text or objects.

    Raises
    ------
    BadData
        For rows of different lengths.

    Examples
    --------
    >>> array([[1, 2.5], [3, 4]])
    array([[1. , 2.5],
           [3. , 4. ]])
    """
    if isinstance(values, np.ndarray):
        return values
    if type(values) is not list:
        raise BadData(f"values should be a list, not {kind(values)}")
    try:
        return np.array(values)
    except (ValueError, OverflowError):
        raise BadData(_ragged(values)) from None


def matrix(values: npt.ArrayLike, names: Sequence[str] = (), *, missing: bool = False) -> npt.NDArray[np.float64]:
    """Rows of numbers, or an error that names the cell.

    Parameters
    ----------
    values : array-like
        A list from JSON, or an array of whatever kind.
    names : sequence of str
        Of the columns, for the message.
    missing : bool
        Whether null is a missing value (NaN).

    Returns
    -------
    ndarray of shape (n, d), float64
        C-contiguous; not checked for infinity and NaN unless they were null.

    Raises
    ------
    BadData
        Names the row (from 1) and the feature.

    Examples
    --------
    >>> matrix([[1, "x"]], ["f1", "f2"])
    Traceback (most recent call last):
    serving.errors.BadData: row 1, feature f2: 'x' is not a number
    """
    if not isinstance(values, np.ndarray | list):
        raise BadData(f"rows of numbers are needed, not {kind(values)}")
    found = values if isinstance(values, np.ndarray) else array(values)
    if found.dtype is _FLOAT64 and found.ndim == 2 and found.size and found.flags.c_contiguous:
        return found
    if not found.ndim:
        raise BadData(f"rows of numbers are needed, not {kind(found.item())}")
    if found.dtype.kind not in NUMERIC:
        cells = values if isinstance(values, list) else _guessed(found)
        found = _of_cells(cells, names, missing)
    if not found.size:
        raise BadData("there are no rows" if not len(found) else "row 1 is empty")
    if found.ndim == 1:
        raise BadData("row 1 should be a list of numbers, not a number")
    if found.ndim != 2:
        raise BadData(f"rows of numbers are needed; this has {found.ndim} dimensions")
    return np.ascontiguousarray(found, dtype=np.float64)


def blame_not_finite(rows: npt.NDArray[np.float64], names: Sequence[str] = (), *, missing: bool = False) -> None:
    """Raise if a cell is infinite or NaN.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Numbers.
    names : sequence of str
        Of the columns, for the message.
    missing : bool
        Whether NaN is allowed.

    Raises
    ------
    BadData
        Names the first such cell.
    """
    wrong = np.isinf(rows) if missing else ~np.isfinite(rows)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        value = rows[row, column]
        text = "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        raise BadData(f"{_cell(int(row), int(column), names)}: {text} is not a finite number")


def kind(value: Any) -> str:
    """What JSON calls the kind of a value.

    Examples
    --------
    >>> kind({}), kind(None), kind(1.5)
    ('an object', 'null', 'a number')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    return _KINDS.get(type(value)) or type(value).__name__


def _cell(row: int, column: int, names: Sequence[str]) -> str:
    feature = f"feature {names[column]}" if column < len(names) else f"column {column + 1}"
    return f"row {row + 1}, {feature}"


def _ragged(values: list[Any]) -> str:
    for index, row in enumerate(values):
        if not isinstance(row, list):
            if any(isinstance(other, list) for other in values):
                return f"row {index + 1} should be a list, not {kind(row)}"
            return "numbers are needed"
        if len(row) != len(values[0]):
            return f"row {index + 1} has {len(row)} values, row 1 has {len(values[0])}"
    return "numbers are needed, not nested lists of different lengths"


def _guessed(found: npt.NDArray[Any]) -> Any:
    """The cells of an array that numpy turned into text because one was: what looks like a number was one."""
    cells = found.tolist()
    if found.dtype.kind != "U" or found.ndim != 2:
        return cells
    guessed = [[_number_or_text(cell) for cell in row] for row in cells]
    return guessed if any(isinstance(cell, str) for row in guessed for cell in row) else cells


def _number_or_text(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _of_cells(rows: Any, names: Sequence[str], missing: bool) -> npt.NDArray[np.float64]:
    """Convert what numpy found no number type for: there is a culprit, or only null and large integers."""
    for index, row in enumerate(rows):
        if not isinstance(row, list):
            raise BadData(f"row {index + 1} should be a list of numbers, not {kind(row)}")
        if len(row) != len(rows[0]):
            raise BadData(_ragged(rows))
        for column, value in enumerate(row):
            if isinstance(value, int | float) or (value is None and missing):
                continue
            text = f"{value[:40]!r}" if isinstance(value, str) else kind(value)
            raise BadData(f"{_cell(index, column, names)}: {text} is not a number")
    return np.array(rows, dtype=np.float64)


def table(rows: Any) -> tuple[list[list[Any]], list[str]]:
    """Turn objects of named features into rows.

    Parameters
    ----------
    rows : dict or list of dict
        A row, or several with the same names.

    Returns
    -------
    tuple
        Rows, and the names of their columns.

    Raises
    ------
    BadData
        For a row with other names than the first.

    Examples
    --------
    >>> table({"f1": 1.5, "f2": 2})
    ([[1.5, 2]], ['f1', 'f2'])
    """
    listed = [rows] if isinstance(rows, dict) else rows
    names = list(listed[0])
    for index, row in enumerate(listed):
        if not isinstance(row, dict):
            raise BadData(f"row {index + 1} should be an object of features, not {kind(row)}")
        if row.keys() != listed[0].keys():
            raise BadData(f"row {index + 1} has other features than row 1: {_first(row.keys() ^ listed[0].keys())}")
    return [[row[name] for name in names] for row in listed], names


def _first(names: Any) -> str:
    return ", ".join(sorted(map(str, names))[:5])
