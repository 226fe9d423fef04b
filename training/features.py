"""Rows of numbers with their names, and times where there are any."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.errors import TooLittle
from training.errors import TrainingError


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


def unlearnable(title: str, features: Features, error: ValueError) -> TrainingError:
    """Return the error to raise for what a detector says of rows that it cannot learn from.

    Parameters
    ----------
    title : str
        Of the detector.
    features : Features
        The rows.
    error : ValueError
        Its own, which speaks of arrays and parameters.

    Returns
    -------
    TrainingError
        It names the file, and the column if it is one.
    """
    if not isinstance(error, TooLittle):
        return TrainingError(f"{title} on {features.source}: {error}")
    column = "" if error.column is None else f", column {features.names[error.column]!r}"
    return TrainingError(f"{features.source}{column}: {title} {error.plainly}")
