"""CSV files: read by pandas in blocks, and when that fails read again line by line to say what is wrong and where."""

import csv
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from training import times
from training.csv_culprit import NUMBER, cells_of, check_widths, find_culprit
from training.errors import DataError, EmptyFile
from training.tables import Request, Table

_BLOCK_VALUES = 500_000
"""Numbers parsed at a time: 4 MB, so that a file needs little more memory than its array."""

_MAX_HEADER_BYTES = 4 << 20

_PIECE_BYTES = 1 << 20
_TRUTH = re.compile(rb"true|false", re.IGNORECASE)
_ZERO = re.compile(rb"\0")

_OLD_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)
"""It may miss the float64 nearest to a fraction, which JSON gives, and it ends cells at zero bytes."""


@dataclass(frozen=True)
class _Layout:
    """What is known before the rows are read."""

    names: tuple[str, ...]
    first_line: int
    start: int
    has_time: bool
    iso: bool
    zoned: bool
    odd: str | None
    """What pandas would overlook in the first row of numbers, and in no other."""


def read_csv(stream: BinaryIO, request: Request) -> Table:
    """Read numbers under a header row.

    Parameters
    ----------
    stream : binary file
        Seekable, at the beginning of the text; UTF-8, with or without a byte order mark.
    request : Request
        What is expected of it.

    Returns
    -------
    Table
        Its numbers.

    Raises
    ------
    DataError
        Names row and column of what is no number.
    """
    layout = _layout(stream, request)
    if layout.odd:
        _explain(stream, layout, request, ValueError(layout.odd))
    blocks: list[npt.NDArray[np.float64]] = []
    stamps: list[Any] = []
    rows = 0
    short = truths = False  # what pandas lets pass, to be looked at again
    try:
        with closing(_blocks(stream, layout)) as read:
            for block in read:
                values, stamp = _checked(block, layout, request)
                blocks.append(values)
                if stamp is not None:
                    stamps.append(stamp)
                rows += len(values)
                # pandas fills up short rows with missing values, which in a series may be missing indeed
                short = short or (request.missing and bool(np.isnan(values[:, -1]).any()))
                truths = truths or _may_be_truths(values)
                request.check_rows(rows)
        found, unit = _times(stamps, layout)
    except (ValueError, OverflowError) as error:  # pandas' own are ValueErrors
        _explain(stream, layout, request, error)
    if short:
        stream.seek(layout.start)
        check_widths(stream, len(layout.names), layout.first_line, request)
    if truths and _contains(stream, layout.start, _TRUTH):
        _explain(stream, layout, request, ValueError("it holds True or False"))
    if _OLD_PANDAS and _contains(stream, layout.start, _ZERO):
        _explain(stream, layout, request, ValueError("it holds zero bytes"))
    if rows == 0:
        raise EmptyFile("it has a header row but no rows of numbers", request.file)
    values = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    if layout.has_time:
        return Table(layout.names[1:], values, found, layout.names[0], unit)
    return Table(layout.names, values)


def _explain(stream: BinaryIO, layout: _Layout, request: Request, error: Exception) -> NoReturn:
    stream.seek(layout.start)
    iso = layout.zoned if layout.iso else None
    find_culprit(stream, layout.names, layout.first_line, request, layout.has_time, iso)
    raise DataError(str(error), request.file) from error


def _layout(stream: BinaryIO, request: Request) -> _Layout:
    header, header_line = _record(stream, 0, request)
    if header is None:
        raise EmptyFile("it is empty", request.file)
    start = stream.tell()
    first, _ = _record(stream, header_line, request)
    stream.seek(start)
    names = tuple(cell.strip() for cell in header)
    _refuse_no_header(names, request)
    _refuse_other_separators(names, request)
    request.check_names(names, header_line)
    cell = first[0] if first else ""
    odd = "the first row has more cells than the header" if len(first or ()) > len(names) + 1 else None
    if cell.startswith("\ufeff"):
        odd = "there is a byte order mark after the header"
    dated = times.looks_like_time(cell)
    named = times.is_time_name(names[0])
    has_time = request.time != "none" and (named or dated)
    if request.time == "required" and not has_time:
        raise request.no_time(names[0])
    if has_time and len(names) == 1:
        raise DataError("there is nothing beside the time column", request.file)
    iso = has_time and NUMBER.fullmatch(cell) is None
    return _Layout(names, header_line + 1, start, has_time, iso, iso and times.has_zone(cell), odd)


def _record(stream: BinaryIO, line: int, request: Request) -> tuple[list[str] | None, int]:
    """The next row that is not blank, and how many lines have been read with it."""

    def lines() -> Iterator[str]:
        nonlocal line
        while raw := stream.readline(_MAX_HEADER_BYTES):
            line += 1
            if len(raw) == _MAX_HEADER_BYTES:
                raise DataError(f"a line of more than {_MAX_HEADER_BYTES} bytes", request.file, line)
            text = cells_of(raw, request.file, line)
            if text.strip():
                yield text

    try:
        return next(csv.reader(lines(), strict=True), None), line
    except csv.Error as error:
        raise DataError(f"it is not CSV: {error}", request.file, line) from error


def _refuse_no_header(names: tuple[str, ...], request: Request) -> None:
    if all(NUMBER.fullmatch(name) or times.looks_like_time(name) for name in names):
        raise DataError("the first row should name the columns, but holds numbers", request.file)


def _refuse_other_separators(names: tuple[str, ...], request: Request) -> None:
    if len(names) > 1:
        return
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if separator in names[0]:
            raise DataError(f"its columns are separated by {name}, not by commas", request.file)


def _blocks(stream: BinaryIO, layout: _Layout) -> Generator[pd.DataFrame, None, None]:
    n_columns = len(layout.names)
    # One column more than there should be: a row that is too long shows in it instead of being cut or shifted.
    kinds: dict[int, Any] = dict.fromkeys(range(n_columns + 1), np.float64)
    if layout.has_time:
        if layout.iso:
            kinds[0] = str
        else:
            del kinds[0]  # whole numbers stay whole: nanoseconds do not fit into a float
    exact: dict[str, Any] = {"float_precision": "round_trip"} if _OLD_PANDAS else {}
    try:
        reader = pd.read_csv(
            stream,
            header=None,
            names=list(range(n_columns + 1)),
            dtype=kinds,
            index_col=False,
            compression=None,
            encoding="utf-8",
            chunksize=max(1, _BLOCK_VALUES // n_columns),
            **exact,
        )
    except pd.errors.EmptyDataError:
        return
    with reader:  # on its way out it lets go of the stream, and leaves it open
        yield from (block for block in reader if len(block))


def _checked(block: pd.DataFrame, layout: _Layout, request: Request) -> tuple[npt.NDArray[np.float64], Any]:
    n_columns = len(layout.names)
    if not block[n_columns].isna().all():
        raise ValueError("a row has more cells than the header")
    first = int(layout.has_time)
    values = np.ascontiguousarray(block.iloc[:, first:n_columns].to_numpy(np.float64))
    if request.labels and request.not_labels(values).any():
        raise ValueError("a label is neither 0 nor 1")
    if not np.isfinite(values).all() and (not request.missing or np.isinf(values).any()):
        raise ValueError("a value is missing or infinite")
    if not layout.has_time:
        return values, None
    if layout.iso:
        return values, times.from_iso(block[0], layout.zoned)
    stamps = block[0].to_numpy()
    if stamps.dtype.kind not in "if" or not np.isfinite(stamps).all():
        raise ValueError("a time is no number")
    return values, stamps


def _may_be_truths(values: npt.NDArray[np.float64]) -> bool:
    """Whether a column is all 0 and 1, which is what pandas makes of True and False."""
    return any(
        bool(((column == 0.0) | (column == 1.0) | np.isnan(column)).all())
        for column in values.T
        if not (column[0] != 0.0 and column[0] != 1.0 and column[0] == column[0])  # most need no more than that
    )


def _contains(stream: BinaryIO, start: int, pattern: re.Pattern[bytes]) -> bool:
    stream.seek(start)
    end = b""
    while piece := stream.read(_PIECE_BYTES):
        if pattern.search(end + piece):
            return True
        end = piece[-4:]
    return False


def _times(stamps: list[Any], layout: _Layout) -> tuple[Any, str | None]:
    if not stamps:
        return None, None
    joined = np.concatenate(stamps)
    if layout.iso:
        return joined, "iso-utc" if layout.zoned else "iso"
    return times.from_numbers(joined)
