"""What the detectors of series share: rows put in time order, a band around what is expected, the tail that is kept.

Each value column is a series of its own. A detector says what to expect of each row (`SeriesDetector._expected`) and,
from the training series, how far from it a row may be (`SeriesDetector._band`); the rest is here.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted, validate_data

from detectors import state
from detectors.base import FloatArray, IntArray
from detectors.errors import InvalidState, TooLittle
from detectors.judging import History, JudgedSeries
from detectors.limits import THRESHOLD
from detectors.ordered import Series, in_time_order, preceded
from detectors.quantiles import has_number
from detectors.times import TimeArray, in_ns

_NO_STAMPS = np.empty(0, "datetime64[ns]")


class Limits(NamedTuple):
    """The band of each row, for charts: arrays of shape (n_rows, n_features), NaN where there is no verdict.

    An open side is infinite.
    """

    low: FloatArray
    mid: FloatArray
    high: FloatArray


class SeriesDetector(JudgedSeries):
    """A detector of one or more series in time order.

    Times come as the DatetimeIndex of a frame, as an argument, or not at all: then rows are in order. Of rows with the
    same stamp the first counts, and the others get its verdict; the answer is in the order of the input. A missing
    value has no verdict.

    Attributes
    ----------
    low_, mid_, high_ : ndarray of shape (n_features,)
        The band around what is expected of each column; an open side is infinite.
    tail_ : ndarray of shape (n_tail, n_features)
        The last rows of the training series, as many as the verdict on a new row can depend on.
    tail_times_ : ndarray of shape (n_tail,) or (0,), int64
        Their stamps, nanoseconds since the epoch, if they have any.
    """

    tail_: FloatArray
    tail_times_: IntArray

    _state_schema: ClassVar[Mapping[str, state.Array | state.Scalar]] = {
        "low_": state.Array("float64", ("n_features_in_",), finite=False),
        "mid_": state.Array("float64", ("n_features_in_",)),
        "high_": state.Array("float64", ("n_features_in_",), finite=False),
        "tail_": state.Array("float64", ("tail", "n_features_in_"), nan=True),
        "tail_times_": state.Array("int64", ("stamps",)),
    }

    @abstractmethod
    def _band(self, deviations: FloatArray) -> tuple[float, float, float]:
        """Low, mid and high of a column's deviations from what was expected; at least one is a number.

        They may be overwritten if `_expected` returns an array: then they are no part of the input.
        """

    def _expected(self, values: FloatArray, stamps: TimeArray | None) -> FloatArray | None:  # noqa: ARG002
        """What to expect of each row of a column, NaN where nothing can be; None if that is always 0."""
        return None

    def _tail_start(self, stamps: TimeArray | None, n_rows: int) -> int:  # noqa: ARG002
        """The first row of a series that the verdict on a later one can depend on."""
        return n_rows

    def _prepare(self) -> None:
        """Set what follows from the parameters alone."""

    def _learn(self, series: Series) -> None:
        """Learn what deviations are told by, if that takes more than the parameters."""

    def fit(self, X: npt.ArrayLike, y: object = None, *, times: npt.ArrayLike | None = None) -> Self:  # noqa: ARG002
        """Learn the band of each column.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            The training series, whole; NaN is missing.
        y : ignored
            There for scikit-learn's pipelines.
        times : array-like of datetime64, optional
            Their stamps, in any order; by default those of the frame's DatetimeIndex, if it has one.

        Returns
        -------
        self
            The detector, fitted.

        Raises
        ------
        ValueError
            For a parameter out of its range, infinity, a missing stamp, or a column with nothing to learn from.
        """
        self._validate_params()
        self._prepare()
        series = in_time_order(self._checked(X, reset=True), X, times)
        self._learn(series)
        bands = [self._band_of(series, column) for column in range(self.n_features_in_)]
        self.low_, self.mid_, self.high_ = (np.array(limits, dtype=np.float64) for limits in zip(*bands, strict=True))
        self._keep_tail(series)
        self.threshold_ = THRESHOLD
        return self

    def _band_of(self, series: Series, column: int) -> tuple[float, float, float]:
        deviations = self._deviations(series, column)
        if not has_number(deviations):
            names = getattr(self, "feature_names_in_", None)
            name = f"column {column}" if names is None else repr(names[column])
            raise TooLittle(
                f"{type(self).__name__}: {name} has nothing to learn from: not one value that can be judged "
                f"(n_samples = {len(deviations)})",
                f"has nothing to learn from: not one of the {len(deviations):,} values can be judged",
                column,
            )
        return self._band(deviations)

    def _keep_tail(self, series: Series) -> None:
        start = self._tail_start(series.stamps, len(series.values))
        self.tail_ = series.values[start:].copy()
        self.tail_times_ = in_ns(_NO_STAMPS if series.stamps is None else series.stamps[start:])

    def remember(self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None) -> Self:
        """Append rows to the kept tail, so that the next ones are judged by them; the limits stay.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows that follow those known so far.
        times : array-like of datetime64, optional
            Their stamps.

        Returns
        -------
        self
            The detector.

        Raises
        ------
        ValueError
            For rows that are not later than the tail.
        """
        series = self._series(X, times, "fitted")
        if series.n_earlier < len(self.tail_):
            raise ValueError(f"{type(self).__name__}: rows to remember must be later than those known so far")
        self._keep_tail(series)
        return self

    def limits(self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None, history: History = None) -> Limits:
        """Between which values a row is normal.

        Parameters
        ----------
        X, times, history
            As for `anomaly_score`.

        Returns
        -------
        Limits
            Low, mid and high for each value.
        """
        series = self._series(X, times, history)
        expected = np.zeros(series.values.shape)
        for column in range(self.n_features_in_):
            found = self._expected(series.column(column), series.stamps)
            if found is not None:
                expected[:, column] = found
        given = series.answer(expected)
        return Limits(given + self.low_, given + self.mid_, given + self.high_)

    def _deviations(self, series: Series, column: int) -> FloatArray:
        values = series.column(column)
        expected = self._expected(values, series.stamps)
        if expected is None:
            return values
        with np.errstate(over="ignore"):
            return np.subtract(values, expected, out=expected)

    def _series(self, X: npt.ArrayLike, times: npt.ArrayLike | None, history: History) -> Series:
        if history not in (None, "fitted"):
            raise ValueError(f"history is None or 'fitted', not {history!r}")
        series = in_time_order(self._checked(X, reset=False), X, times)
        return series if history is None else preceded(series, self.tail_, self.tail_times_)

    def _checked(self, X: Any, *, reset: bool) -> FloatArray:
        # scikit-learn's validation takes longer than a row's score; what it would pass unchanged need not go through it
        if (
            not reset
            and type(X) is np.ndarray
            and X.dtype == np.float64
            and X.ndim == 2
            and "threshold_" in vars(self)
            and "feature_names_in_" not in vars(self)
            and X.shape[1] == self.n_features_in_
            and X.shape[0] > 0
            and not np.isinf(X).any()
        ):
            return X
        if not reset:
            check_is_fitted(self)
        if getattr(X, "ndim", None) == 1 and hasattr(X, "to_frame"):  # a pandas Series
            X = X.to_frame()
        with np.errstate(invalid="ignore"):  # it adds the values up, and the largest ones have no sum
            return validate_data(  # type: ignore[no-any-return]
                self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=reset
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _restore(self) -> None:
        if not ((self.low_ <= self.mid_) & (self.mid_ <= self.high_)).all():
            raise InvalidState(f"{type(self).__name__}: a middle is out of its band")
        if self.threshold_ != THRESHOLD:
            raise InvalidState(f"{type(self).__name__}: threshold_ is {self.threshold_}, not {THRESHOLD}")
        if len(self.tail_times_) not in (0, len(self.tail_)) or (np.diff(self.tail_times_) <= 0).any():
            raise InvalidState(f"{type(self).__name__}: tail_times_ are not the increasing times of the tail")
