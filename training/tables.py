"""What the readers of CSV and Parquet have in common: a table as it was read, and what is asked of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from training.errors import DataError, NoTimeColumn, TooLarge
from training.times import TIME_NAMES, Times

TimeColumn = Literal["auto", "required", "none"]


@dataclass(frozen=True)
class Request:
    """How a file is to be read.

    Attributes
    ----------
    file : str
        What errors call it.
    time : {"auto", "required", "none"}
        Whether the first column may, must or must not be one of times.
    missing : bool
        Whether a value may be missing.
    labels : bool
        Whether it is one column of 0 and 1.
    max_rows, max_columns : int or None
        What is refused beyond.
    """

    file: str
    time: TimeColumn = "auto"
    missing: bool = False
    labels: bool = False
    max_rows: int | None = None
    max_columns: int | None = None

    def check_names(self, names: Sequence[str], row: int | None = None) -> None:
        """Refuse columns without a name, two of one name, and too many."""
        if self.labels and len(names) != 1:
            shown = ", ".join(names[:10])
            raise DataError(f"a label file has one column, this one has {len(names)}: {shown}", self.file)
        if self.max_columns is not None and len(names) > self.max_columns:
            raise TooLarge(f"it has {len(names)} columns, at most {self.max_columns} are read", self.file)
        for position, name in enumerate(names, start=1):
            if not name:
                hint = "; if it is the index of a data frame, write it with index=False" if position == 1 else ""
                raise DataError(f"column {position} has no name{hint}", self.file, row)
        doubled = [name for name, count in Counter(names).items() if count > 1]
        if doubled:
            raise DataError("there is more than one column of this name", self.file, row, doubled[0])

    def check_rows(self, count: int) -> None:
        """Refuse too many rows, however many there are besides."""
        if self.max_rows is not None and count > self.max_rows:
            raise TooLarge(f"it has more than {self.max_rows} rows, which is the limit", self.file)

    def not_labels(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which values are neither 0 nor 1, where only these may be."""
        if not self.labels:
            return np.zeros(values.shape, bool)
        return np.asarray((values != 0.0) & (values != 1.0))

    def no_time(self, first: str) -> DataError:
        """The error for a file whose first column should hold times."""
        known = ", ".join(sorted(TIME_NAMES))
        return NoTimeColumn(
            f"there is no Time column: the first, {first!r}, is neither called so ({known}) nor holds dates", self.file
        )


@dataclass(frozen=True, eq=False)
class Table:
    """What was read: numbers by row and column, and times."""

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    times: Times | None = None
    time_name: str | None = None
    time_unit: str | None = None
