"""What detectors of shapes share: a row is judged by the error of a window around it, or of one that ends with it."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval, StrOptions

from detectors import state
from detectors.base import FloatArray, IntArray
from detectors.errors import InvalidState, TooLittle
from detectors.judging import History
from detectors.kernels import kernel
from detectors.ordered import Series
from detectors.periods import window_of
from detectors.quantiles import quantiles
from detectors.series import Limits, SeriesDetector
from detectors.times import TimeArray

Align = Literal["center", "end"]

LONGEST_WINDOW = 4096
"""Rows: what a row costs grows with its window."""

_BRIDGED = 0.5  # of a window's values must be there


class WindowDetector(SeriesDetector):
    """A detector of series that compares windows with what is expected of them.

    A missing value is taken to be the one before it (at the start, the mean in training); a row has a verdict if its
    own value is there and half of those in its window. Rows are taken to be evenly spaced.

    Attributes
    ----------
    windows_ : ndarray of shape (n_features,), int64
        The window of each column, in rows.
    centers_, scales_ : ndarray of shape (n_features,)
        Mean and standard deviation of each column in training: errors are in multiples of it.
    high_ : ndarray of shape (n_features,)
        The largest error of each column that is normal; its `low_` is open, its `mid_` is 0.
    """

    window: int | Literal["auto"]
    c: float
    align: Align

    windows_: IntArray
    centers_: FloatArray
    scales_: FloatArray

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "window": [Interval(Integral, 2, LONGEST_WINDOW, closed="both"), StrOptions({"auto"})],
        "c": [Interval(Real, 0, None, closed="left")],
        "align": [StrOptions({"center", "end"})],
    }

    _state_schema: ClassVar[Mapping[str, state.Array | state.Scalar]] = {
        **SeriesDetector._state_schema,
        "windows_": state.Array("int64", ("n_features_in_",), low=1),
        "centers_": state.Array("float64", ("n_features_in_",)),
        "scales_": state.Array("float64", ("n_features_in_",)),
    }

    @abstractmethod
    def _errors(self, values: FloatArray, column: int) -> FloatArray:
        """The error of each row's window, NaN without one; values are centred and scaled, none is missing."""

    @abstractmethod
    def _free(self, values: FloatArray, column: int) -> FloatArray:
        """The squared error of each row's window by the row's own value: best, slope and least, shape (n_rows, 3)."""

    @abstractmethod
    def _learn_column(self, values: FloatArray, column: int) -> None:
        """Learn what is expected of a column's windows; values are centred and scaled, none is missing."""

    def _reach(self) -> int:
        """How many rows the verdict on a row depends on, itself included."""
        return int(self.windows_.max())

    def _learn(self, series: Series) -> None:
        columns = [series.column(column) for column in range(self.n_features_in_)]
        self.windows_ = np.array([self._window(values) for values in columns], dtype=np.int64)
        self.centers_, self.scales_ = (np.array(found) for found in zip(*map(_spread, columns), strict=True))
        for column, values in enumerate(columns):
            self._learn_column(self._scaled(values, column), column)

    def _window(self, values: FloatArray) -> int:
        if self.window == "auto":
            return window_of(values)
        if self.window > len(values):
            raise TooLittle(
                f"{type(self).__name__}: window = {self.window} is longer than the series (n_samples = {len(values)})",
                f"needs a longer series: its window is {self.window} rows, and there are {len(values):,}",
            )
        return int(self.window)

    def _scaled(self, values: FloatArray, column: int) -> FloatArray:
        with np.errstate(over="ignore"):
            scaled: FloatArray = (values - self.centers_[column]) / self.scales_[column]
        carry_forward(scaled, 0.0)
        return scaled

    def _deviations(self, series: Series, column: int) -> FloatArray:
        values = series.column(column)
        with np.errstate(over="ignore", invalid="ignore"):
            errors = self._errors(self._scaled(values, column), column)
        hide_unknown(values, int(self.windows_[column]), self.align == "center", _BRIDGED, errors)
        return errors

    def _band(self, deviations: FloatArray) -> tuple[float, float, float]:
        first, third = quantiles(deviations, [0.25, 0.75])
        limit = third + (third - first) * self.c
        return -math.inf, 0.0, math.inf if math.isnan(limit) else limit

    def errors(self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None, history: History = None) -> FloatArray:
        """The error of the window of each value, which the limits of `high_` are about.

        Parameters
        ----------
        X, times, history
            As for `anomaly_score`.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
            In standard deviations of the column; NaN where there is no verdict.
        """
        series = self._series(X, times, history)
        columns = [self._deviations(series, column) for column in range(self.n_features_in_)]
        return series.answer(np.column_stack(columns))

    def limits(self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None, history: History = None) -> Limits:
        """Between which values a row is normal, the rest of its window being as it is.

        Parameters
        ----------
        X, times, history
            As for `anomaly_score`.

        Returns
        -------
        Limits
            Low, mid and high for each value; where no value would do, low and high are NaN.
        """
        series = self._series(X, times, history)
        found = np.empty((3, *series.values.shape))
        for column in range(self.n_features_in_):
            values = series.column(column)
            with np.errstate(all="ignore"):
                best, slope, least = self._free(self._scaled(values, column), column).T
                room = np.sqrt((self.windows_[column] * self.high_[column] ** 2 - least) / slope)
            for place, side in enumerate((-room, 0.0 * best, room)):
                found[place, :, column] = (best + side) * self.scales_[column] + self.centers_[column]
        return Limits(*(series.answer(part) for part in found))

    def _tail_start(self, stamps: TimeArray | None, n_rows: int) -> int:  # noqa: ARG002
        return max(0, n_rows - self._reach())

    def _keep_tail(self, series: Series) -> None:
        """The first row of the tail is in no later window: it holds what is carried over missing values after it."""
        super()._keep_tail(series)
        before = series.values[: len(series.values) - len(self.tail_) + 1]
        for column, values in enumerate(before.T):
            known = values[~np.isnan(values)]
            if len(known):
                self.tail_[0, column] = known[-1]

    def _restore(self) -> None:
        super()._restore()
        if (self.windows_ > LONGEST_WINDOW).any():
            raise InvalidState(f"{type(self).__name__}: a window is longer than {LONGEST_WINDOW}")
        if (self.scales_ <= 0.0).any():
            raise InvalidState(f"{type(self).__name__}: a scale is not above 0")


def _spread(values: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation; what cannot be told, or is 0, is 0 and 1."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return 0.0, 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(known.mean()), float(known.std())
    largest = float(np.abs(known).max())
    if not math.isfinite(mean):
        mean = 0.0
    if not math.isfinite(deviation):
        return mean, largest
    return mean, deviation if deviation > 1e-12 * largest else 1.0


@kernel
def carry_forward(values: FloatArray, before: float) -> None:
    """Replace each missing value by the one before it, in place.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        A series.
    before : float
        What is taken for those before the first number.
    """
    for row in range(values.shape[0]):
        if np.isnan(values[row]):
            values[row] = before
        before = values[row]


@kernel
def hide_unknown(values: FloatArray, window: int, centred: bool, least: float, errors: FloatArray) -> None:
    """Take the error from rows whose own value, or too much of whose window, is missing.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        NaN is missing.
    window : int
        Rows.
    centred : bool
        Whether windows have their row in the middle; otherwise it is their last.
    least : float
        The share of a window that must be there.
    errors : ndarray of shape (n,), float64
        Becomes NaN there.
    """
    n_rows = values.shape[0]
    known = stop = start = 0
    for row in range(n_rows):
        first = min(max(row - window // 2, 0), n_rows - window) if centred else row + 1 - window
        while stop < min(first + window, n_rows):
            known += not np.isnan(values[stop])
            stop += 1
        while start < first:
            known -= not np.isnan(values[start])
            start += 1
        if np.isnan(values[row]) or known < least * window:
            errors[row] = np.nan
