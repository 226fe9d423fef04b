"""Persist: values far from those just before them."""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from detectors import state
from detectors.base import FloatArray
from detectors.errors import InvalidState
from detectors.quantiles import quantiles
from detectors.rolling import rolling_mean, rolling_median
from detectors.series import SeriesDetector
from detectors.times import TimeArray, in_ns, span_in_ns

_FACTOR = 3.0
_TOO_MANY = 0.02
_EXTREME = 0.0025
_FEW_ROWS = 5
_LONGEST = 2**62  # what kernels count with


class Persist(SeriesDetector):
    """Flags values whose change from the window before them is above Q3 + c·IQR of the training series' changes.

    Parameters
    ----------
    window : int or str
        The window before each row: a number of rows, or a time span such as ``"1h"``, closed on the left, which takes
        time stamps.
    c : float or "auto"
        How many interquartile ranges beyond the third quartile of the absolute changes are still normal. "auto" is 3,
        unless that flags over 2 % of the training rows (and over 5): the quartiles of a series that is mostly calm say
        nothing of its restless hours, and the limit is then the one that the largest 0.25 % of its changes exceed.
    side : {"both", "positive", "negative"}
        Which changes are flagged.
    agg : {"median", "mean"}
        What of the window a value is compared with.
    min_periods : int or None
        How many numbers a window must have for a verdict; by default all of a window in rows, one in a time span.

    Attributes
    ----------
    low_, high_ : ndarray of shape (n_features,)
        The largest change down and up of each column; its `mid_` is 0.
    window_rows_, window_ns_ : int
        The window in rows or in nanoseconds; the other one is 0.

    Examples
    --------
    >>> import numpy as np
    >>> series = np.array([[1.0], [1.1], [1.0], [1.2], [7.0], [7.1], [7.0]])
    >>> Persist(c=1.5, side="positive").fit_predict(series)
    array([ 1,  1,  1,  1, -1,  1,  1])
    """

    title = "Persist"

    window_rows_: int
    window_ns_: int

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "window": [Interval(Integral, 1, _LONGEST, closed="both"), str],
        "c": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "side": [StrOptions({"both", "positive", "negative"})],
        "agg": [StrOptions({"median", "mean"})],
        "min_periods": [Interval(Integral, 1, _LONGEST, closed="both"), None],
    }

    _state_schema: ClassVar[Mapping[str, state.Array | state.Scalar]] = {
        **SeriesDetector._state_schema,
        "window_rows_": state.Scalar(int, low=0, high=np.iinfo(np.int64).max),
        "window_ns_": state.Scalar(int, low=0, high=np.iinfo(np.int64).max),
    }

    def __init__(
        self,
        window: int | str = 1,
        c: float | Literal["auto"] = "auto",
        side: Literal["both", "positive", "negative"] = "both",
        agg: Literal["median", "mean"] = "median",
        min_periods: int | None = None,
    ) -> None:
        self.window = window
        self.c = c
        self.side = side
        self.agg = agg
        self.min_periods = min_periods

    def _validate_params(self) -> None:
        super()._validate_params()
        self._window()

    def _window(self) -> tuple[int, int]:
        """The window in rows and in nanoseconds, one of them 0."""
        if isinstance(self.window, str):
            return 0, span_in_ns(self.window)
        if self.min_periods is not None and self.min_periods > self.window:
            raise ValueError(f"Persist: min_periods = {self.min_periods} is more than the window of {self.window}")
        return int(self.window), 0

    def _prepare(self) -> None:
        self.window_rows_, self.window_ns_ = self._window()

    def _expected(self, values: FloatArray, stamps: TimeArray | None) -> FloatArray:
        if self.window_rows_ == 1:
            before = np.empty(len(values))
            before[0] = np.nan
            before[1:] = values[:-1]
            return before
        rolling = rolling_median if self.agg == "median" else rolling_mean
        if self.window_rows_:
            return rolling(values, None, self.window_rows_, self.min_periods or self.window_rows_)
        return rolling(values, in_ns(self._timed(stamps)), self.window_ns_, self.min_periods or 1)

    def _timed(self, stamps: TimeArray | None) -> TimeArray:
        if stamps is None:
            raise ValueError(f"Persist: a window of {self.window!r} takes time stamps: a DatetimeIndex, or times=")
        return stamps

    def _band(self, deviations: FloatArray) -> tuple[float, float, float]:
        changes = np.abs(deviations, out=deviations)
        first, third = quantiles(changes, [0.25, 0.75])
        limit = third + (third - first) * (_FACTOR if self.c == "auto" else self.c)
        if self.c == "auto":
            limit = _automatic_limit(changes, limit)
        limit = math.inf if math.isnan(limit) else limit  # changes too large for a float
        return (
            -math.inf if self.side == "positive" else -limit,
            0.0,
            math.inf if self.side == "negative" else limit,
        )

    def _tail_start(self, stamps: TimeArray | None, n_rows: int) -> int:
        if self.window_rows_:
            return max(0, n_rows - self.window_rows_)
        counted = in_ns(self._timed(stamps))
        oldest = max(int(counted[-1]) - self.window_ns_, np.iinfo(np.int64).min)
        return int(np.searchsorted(counted, oldest))

    def _restore(self) -> None:
        super()._restore()
        if (self.window_rows_, self.window_ns_) != self._window():
            raise InvalidState(f"Persist: window_rows_ and window_ns_ are not those of {self.window!r}")
        if (self.mid_ != 0.0).any():
            raise InvalidState("Persist: a middle is not 0")


def _automatic_limit(changes: FloatArray, limit: float) -> float:
    """The limit, or a larger one if that many changes beyond it cannot be anomalies."""
    count = int(np.count_nonzero(~np.isnan(changes)))
    if np.count_nonzero(changes > limit) <= max(_FEW_ROWS, count * _TOO_MANY):
        return limit
    few = max(_FEW_ROWS, int(count * _EXTREME))
    # in the middle between the largest change that is not flagged and the next larger one
    return max(limit, quantiles(changes, [(count - few - 0.5) / (count - 1)])[0])
