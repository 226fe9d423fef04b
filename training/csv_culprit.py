"""What is wrong with a CSV file that pandas would not read as numbers: the first row and column, and a hint."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from training import times
from training.errors import DataError, NotNumbers
from training.tables import Request

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_INFINITE = re.compile(r"\s*[+-]?inf(inity)?\s*", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*", re.ASCII)
_MISSING = frozenset(
    {
        *(
            "",
            "NA",
            "N/A",
            "n/a",
            "NaN",
            "nan",
            "-NaN",
            "-nan",
            "NULL",
            "null",
            "None",
            "<NA>",
            "#N/A",
            "#NA",
            "#N/A N/A",
        ),
        *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    }
)
"""What pandas takes for a missing value."""


def cells_of(raw: bytes, file: str, line: int) -> str:
    """One line as text.

    Parameters
    ----------
    raw : bytes
        With its line end.
    file, line : str, int
        Where, for errors.

    Returns
    -------
    str
        The text.

    Raises
    ------
    DataError
        If it is not UTF-8.
    """
    if b"\0" in raw:
        raise DataError("it is not text: there is a zero byte in it", file, line)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"it is not UTF-8 text (byte 0x{raw[error.start]:02x}); save it as UTF-8, it may be Latin-1", file, line
        ) from error


def find_culprit(
    lines: Iterable[bytes],
    names: Sequence[str],
    first_line: int,
    request: Request,
    has_time: bool,
    zoned: bool | None,
) -> None:
    """Raise what is wrong, if anything is.

    Parameters
    ----------
    lines : iterable of bytes
        What follows the header.
    names : sequence of str
        From the header.
    first_line : int
        The number of the first of the lines.
    request : Request
        What is expected.
    has_time : bool
        Whether the first column holds times.
    zoned : bool or None
        Whether those name zones; None if they are numbers.

    Raises
    ------
    DataError
        Names row and column.
    """
    for line, cells in _rows(lines, first_line, request):
        _check_width(cells, len(names), request, line)
        for position, (name, cell) in enumerate(zip(names, cells, strict=False)):
            fault = _time_fault(cell, zoned) if has_time and position == 0 else _fault(cell, request)
            if fault:
                raise NotNumbers(fault, request.file, line, name)


def check_widths(lines: Iterable[bytes], width: int, first_line: int, request: Request) -> None:
    """Raise if a row has too many cells, or too few.

    Parameters
    ----------
    lines : iterable of bytes
        What follows the header.
    width : int
        Cells of the header.
    first_line : int
        The number of the first of the lines.
    request : Request
        For what errors call the file.

    Raises
    ------
    DataError
        Names the row.
    """
    for line, cells in _rows(lines, first_line, request):
        _check_width(cells, width, request, line)


def _rows(lines: Iterable[bytes], first_line: int, request: Request) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with the number of its last line."""
    line = first_line - 1

    def text() -> Iterator[str]:
        nonlocal line
        for raw in lines:
            line += 1
            yield cells_of(raw, request.file, line)

    try:
        for cells in csv.reader(text(), strict=True):
            blank = not cells or (len(cells) == 1 and cells[0] != "" and not cells[0].strip())
            if not blank:
                yield line, cells
    except csv.Error as error:
        raise DataError(f"it is not CSV: {error}", request.file, line) from error


def _check_width(cells: list[str], width: int, request: Request, line: int) -> None:
    if len(cells) == width or (len(cells) > width and not any(cells[width:])):
        return
    hint = ""
    if len(cells) == 2 * width and all(re.fullmatch(r"\s*-?\d+\s*", cell) for cell in cells):
        hint = "; if commas are decimal signs, write points"
    elif len(cells) == 1 and ";" in cells[0]:
        hint = "; if semicolons separate them, write commas"
    raise DataError(f"{len(cells)} cells where the header has {width}{hint}", request.file, line)


def _fault(cell: str, request: Request) -> str | None:
    if NUMBER.fullmatch(cell):
        if abs(float(cell)) == float("inf"):
            return f"{_shown(cell)} is too large for a number of 64 bits"
        return f"a label is 0 or 1, not {_shown(cell)}" if request.labels and float(cell) not in (0.0, 1.0) else None
    if cell in _MISSING or not cell.strip():
        return None if request.missing else "the value is missing"
    if _INFINITE.fullmatch(cell):
        return f"{_shown(cell)} is infinite"
    if _DECIMAL_COMMA.fullmatch(cell):
        return f"{_shown(cell)} is no number; decimals are written with a point"
    if times.looks_like_time(cell):
        return f"{_shown(cell)} is a date, not a number; a time column is the first"
    return f"{_shown(cell)} is no number"


def _time_fault(cell: str, zoned: bool | None) -> str | None:
    if cell in _MISSING or not cell.strip() or cell.strip() == "NaT":
        return "the time is missing"
    if zoned is not None:
        return times.iso_fault(cell, zoned)
    if NUMBER.fullmatch(cell):
        return None
    return f"{_shown(cell)} is no number, as the first time is"


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")
