"""Feature files and label files in; prediction files are in `training.predictions`.

A file is told by what is in it, not by its name: Parquet by its first bytes, else CSV, never compressed. CSV is a
header row and numbers in UTF-8, separated by commas. Blank lines are skipped. pandas' words for a missing value
(nothing, NA, NaN, null, ...) are ones here.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from training.csv_files import read_csv
from training.errors import DataError, LabelsDoNotMatch
from training.features import Features
from training.parquet_files import read_parquet
from training.tables import Request, Table, TimeColumn

Source = str | os.PathLike[str] | BinaryIO

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_BOM = b"\xef\xbb\xbf"
_SPOOLED_BYTES = 16 << 20


def read_features(
    source: Source,
    *,
    name: str | None = None,
    time: TimeColumn = "auto",
    missing: bool = False,
    max_rows: int | None = None,
    max_columns: int | None = None,
) -> Features:
    """Read a feature file.

    Parameters
    ----------
    source : path or binary file
        CSV or Parquet.
    name : str, optional
        What errors call it; its path if None.
    time : {"auto", "required", "none"}
        A first column holds times if it is called so (`training.times.TIME_NAMES`) or holds dates. "required" refuses a
        file without one; "none" takes every column for numbers.
    missing : bool
        Whether cells may be empty, as in series; they become NaN.
    max_rows, max_columns : int, optional
        A file with more is refused.

    Returns
    -------
    Features
        Its numbers.

    Raises
    ------
    DataError
        Names the file, and row and column of what is wrong.
    """
    request = Request(name or _name(source), time, missing, max_rows=max_rows, max_columns=max_columns)
    table = _read(source, request)
    return Features(table.values, table.names, table.times, table.time_name, table.time_unit, request.file)


def read_labels(
    source: Source,
    *,
    name: str | None = None,
    n_rows: int | None = None,
    rows_of: str = "the feature file",
    max_rows: int | None = None,
) -> npt.NDArray[np.int64]:
    """Read a label file: one column of 0 and 1.

    Parameters
    ----------
    source : path or binary file
        CSV or Parquet.
    name : str, optional
        What errors call it; its path if None.
    n_rows : int, optional
        How many rows it must have.
    rows_of : str
        What errors call the file that has as many.
    max_rows : int, optional
        A file with more is refused.

    Returns
    -------
    ndarray of int64
        1 = anomaly.

    Raises
    ------
    DataError
        Names the file, and the row of what is neither 0 nor 1.
    """
    request = Request(name or _name(source), "none", labels=True, max_rows=max_rows)
    labels = _read(source, request).values[:, 0]
    if n_rows is not None and len(labels) != n_rows:
        raise LabelsDoNotMatch(f"it has {len(labels)} labels, {rows_of} has {n_rows} rows", request.file)
    return labels.astype(np.int64)


def _name(source: Source) -> str:
    path = source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", None)
    return os.fspath(path) if isinstance(path, (str, os.PathLike)) else "the file"


def _read(source: Source, request: Request) -> Table:
    with _opened(source, request.file) as stream:
        start = stream.tell()
        head = stream.read(8)
        stream.seek(start)
        if head.startswith(b"PAR1"):
            return read_parquet(stream, request)
        _refuse_other_formats(head, request)
        if head.startswith(_BOM):
            stream.seek(start + len(_BOM))
        return read_csv(stream, request)


def _refuse_other_formats(head: bytes, request: Request) -> None:
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            hint = ", or an Excel file: save it as CSV" if kind == "zip" else ""
            raise DataError(f"it is compressed ({kind}{hint}); unpack it first", request.file)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("it is UTF-16 text; save it as UTF-8", request.file)


@contextmanager
def _opened(source: Source, file: str) -> Iterator[BinaryIO]:
    if not isinstance(source, (str, os.PathLike)):
        with _seekable(source) as stream:
            yield stream
        return
    try:
        # A path is never given to pandas, which would also open addresses and unpack archives.
        stream = Path(source).open("rb")  # noqa: SIM115
    except FileNotFoundError as error:
        raise DataError("there is no such file", file) from error
    except OSError as error:
        raise DataError(f"it cannot be read: {error.strerror or error}", file) from error
    with stream:
        if stream.seekable():
            yield stream
        else:
            with _seekable(stream) as copy:
                yield copy


@contextmanager
def _seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    if stream.seekable():
        yield stream
        return
    with tempfile.SpooledTemporaryFile(_SPOOLED_BYTES) as copy:
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        yield cast("BinaryIO", copy)
