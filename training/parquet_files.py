"""Parquet files, column by column into one array."""

import json
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from training import times
from training.errors import DataError, EmptyFile, NotNumbers
from training.tables import Request, Table
from training.times import Times


def read_parquet(stream: BinaryIO, request: Request) -> Table:
    """Read numbers from a Parquet file.

    Parameters
    ----------
    stream : binary file
        Seekable, at the beginning of the file.
    request : Request
        What is expected of it.

    Returns
    -------
    Table
        Its numbers.

    Raises
    ------
    DataError
        Names the column, and the row where there is one.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise DataError("Parquet needs pyarrow; install inlier[parquet]", request.file) from error
    try:
        file = parquet.ParquetFile(stream)
        names = _names(file.schema_arrow)
        request.check_rows(file.metadata.num_rows)
        request.check_names(names)
        if file.metadata.num_rows == 0 or not names:
            raise EmptyFile("it has no rows" if names else "it has no columns", request.file)
        return _read(file, names, request)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"it is not a Parquet file that can be read: {error}", request.file) from error


def _names(schema: Any) -> list[str]:
    """Columns as a person sees the data frame: a named index first, an unnamed one not at all."""
    described = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    index = [name for name in described.get("index_columns", []) if isinstance(name, str) and name in schema.names]
    rest = [name for name in schema.names if name not in index]
    return [name for name in index if not _unnamed(name) or _is_time(schema.field(name).type)] + rest


def _unnamed(name: str) -> bool:
    return name.startswith("__index_level_")


def _is_time(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_timestamp(kind) or types.is_date(kind))


def _read(file: Any, names: list[str], request: Request) -> Table:
    first_type = file.schema_arrow.field(names[0]).type
    has_time = request.time != "none" and (_is_time(first_type) or times.is_time_name(names[0]))
    if request.time == "required" and not has_time:
        raise request.no_time(names[0])
    columns = names[int(has_time) :]
    if not columns:
        raise DataError("there is nothing beside the time column", request.file)
    for name in columns:
        _check_type(file.schema_arrow.field(name).type, name, request)
    values = np.empty((file.metadata.num_rows, len(columns)))
    for position, name in enumerate(columns):
        values[:, position] = _numbers(file.read([name]).column(0), name, request)
    if not has_time:
        return Table(tuple(columns), values)
    stamps, unit = _times(file.read([names[0]]).column(0), names[0], request)
    return Table(tuple(columns), values, stamps, "Time" if _unnamed(names[0]) else names[0], unit)


def _check_type(kind: Any, name: str, request: Request) -> None:
    from pyarrow import types

    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind):
        return
    hint = "; a time column is the first" if _is_time(kind) else ""
    raise NotNumbers(f"it holds {kind}, not numbers{hint}", request.file, column=name)


def _numbers(column: Any, name: str, request: Request) -> npt.NDArray[np.float64]:
    import pyarrow as pa

    numbers: npt.NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    if not np.isfinite(numbers).all():
        wrong = np.isinf(numbers) if request.missing else ~np.isfinite(numbers)
        if wrong.any():
            row = int(np.argmax(wrong))
            what = "the value is infinite" if np.isinf(numbers[row]) else "the value is missing"
            raise NotNumbers(what, request.file, row + 1, name)
    if (wrong := request.not_labels(numbers)).any():
        row = int(np.argmax(wrong))
        raise NotNumbers(f"a label is 0 or 1, not {numbers[row]:g}", request.file, row + 1, name)
    return numbers


def _times(column: Any, name: str, request: Request) -> tuple[Times, str]:
    import pyarrow as pa
    from pyarrow import compute, types

    if column.null_count:
        row = compute.index(compute.is_null(column), True).as_py()
        raise NotNumbers("the time is missing", request.file, row + 1, name)
    kind = column.type
    try:
        if _is_time(kind):
            stamps = column.cast(pa.timestamp("ns", getattr(kind, "tz", None))).to_numpy()
            return stamps.astype("datetime64[ns]"), "iso-utc" if getattr(kind, "tz", None) else "iso"
        if types.is_string(kind) or types.is_large_string(kind):
            return _iso_times(column.to_pandas().astype(str), name, request)
        if types.is_integer(kind) or types.is_floating(kind):
            numbers = column.to_numpy()
            if np.isfinite(numbers).all():
                return times.from_numbers(numbers)
            raise NotNumbers("the time is missing", request.file, int(np.argmin(np.isfinite(numbers))) + 1, name)
    except (ValueError, pa.ArrowInvalid) as error:
        raise DataError(str(error), request.file, column=name) from error
    raise DataError(f"it holds {kind}, not times", request.file, column=name)


def _iso_times(cells: Any, name: str, request: Request) -> tuple[Times, str]:
    zoned = times.has_zone(cells[0])
    try:
        return times.from_iso(cells, zoned), "iso-utc" if zoned else "iso"
    except ValueError:
        for row, cell in enumerate(cells, start=1):
            if fault := times.iso_fault(cell, zoned):
                raise NotNumbers(fault, request.file, row, name) from None
        raise
