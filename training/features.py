"""Rows of numbers with their names, and times where there are any."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Features:
    """What was read from a feature file, or made up.

    Attributes
    ----------
    values : ndarray of float64, shape (n_rows, n_features), C order
        The rows. NaN where a value of a series is missing.
    names : tuple of str
        The columns.
    times : ndarray of datetime64[ns], shape (n_rows,), or None
        When each row was measured, UTC where the file named zones; not necessarily in order.
    time_name : str or None
        What the time column is called.
    time_unit : str or None
        How the file writes times: ``"iso"``, ``"iso-utc"`` (with zones), or a count since 1970 in ``"s"``, ``"ms"``,
        ``"us"`` or ``"ns"``.
    source : str
        What errors call the file.
    """

    values: npt.NDArray[np.float64]
    names: tuple[str, ...]
    times: npt.NDArray[np.datetime64] | None = None
    time_name: str | None = None
    time_unit: str | None = None
    source: str = "features"

    def __len__(self) -> int:
        return len(self.values)
