"""What a detector of series answers: scores, verdicts and shares for each row, from how far its columns deviate."""

from abc import abstractmethod
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from detectors.base import Detector, FloatArray, IntArray
from detectors.limits import band_scores, excess_shares, judge_band
from detectors.ordered import Series

History = Literal["fitted"] | None
BoolArray = npt.NDArray[np.bool_]


class JudgedSeries(Detector):
    """The answers of a detector of series; how rows come in and what is learnt of them is its subclass's.

    Attributes
    ----------
    low_, mid_, high_ : ndarray of shape (n_features,)
        The band around what is expected of each column; an open side is infinite.
    """

    kind = "univariate"

    low_: FloatArray
    mid_: FloatArray
    high_: FloatArray

    @abstractmethod
    def fit(self, X: npt.ArrayLike, y: object = None, *, times: npt.ArrayLike | None = None) -> Self:
        """Learn the band of each column; see `SeriesDetector.fit`."""

    @abstractmethod
    def _series(self, X: npt.ArrayLike, times: npt.ArrayLike | None, history: History) -> Series:
        """Rows in time order, perhaps with what came before them."""

    @abstractmethod
    def _deviations(self, series: Series, column: int) -> FloatArray:
        """How far each row of a column is from what is expected; NaN where that cannot be told."""

    def anomaly_score(
        self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None, history: History = None
    ) -> FloatArray:
        """How anomalous each row is: the largest score of its columns.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            A series, whole.
        times : array-like of datetime64, optional
            Stamps of the rows; by default those of the frame's DatetimeIndex, if it has one.
        history : "fitted", optional
            Put the tail of the training series before the first row (of it, what is older than that row).

        Returns
        -------
        ndarray of shape (n_rows,), float64
            In [0, 1], above 0.5 iff beyond a limit; 0 for a row without a verdict (see `has_verdict`).
        """
        series = self._series(X, times, history)
        scores = self._scores(series, 0)
        for column in range(1, self.n_features_in_):
            np.maximum(scores, self._scores(series, column), out=scores)
        return series.answer(scores)

    def column_scores(
        self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None, history: History = None
    ) -> FloatArray:
        """How anomalous each value is.

        Parameters
        ----------
        X, times, history
            As for `anomaly_score`.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
            In [0, 1]; NaN where there is no verdict.
        """
        series = self._series(X, times, history)
        scores = np.empty(series.values.shape)
        for column in range(self.n_features_in_):
            deviations = self._deviations(series, column)
            scores[:, column] = np.where(np.isnan(deviations), np.nan, self._scored(deviations, column))
        return series.answer(scores)

    def has_verdict(
        self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None, history: History = None
    ) -> BoolArray:
        """Which rows can be judged: some value is there, and what it is compared with.

        Parameters
        ----------
        X, times, history
            As for `anomaly_score`.

        Returns
        -------
        ndarray of shape (n_rows,), bool
            False where the score of 0 means nothing.
        """
        series = self._series(X, times, history)
        known = np.zeros(len(series.values), bool)
        for column in range(self.n_features_in_):
            known |= ~np.isnan(self._deviations(series, column))
        return series.answer(known)

    def predict(self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None, history: History = None) -> IntArray:
        """The verdict.

        Parameters
        ----------
        X, times, history
            As for `anomaly_score`.

        Returns
        -------
        ndarray of shape (n_rows,), int64
            -1 for an anomaly, +1 otherwise and where there is no verdict.
        """
        return self._verdicts(self._series(X, times, history))

    def fit_predict(self, X: npt.ArrayLike, y: object = None, *, times: npt.ArrayLike | None = None) -> IntArray:
        """Fit, and judge the training series itself.

        Parameters
        ----------
        X, y, times
            As for `fit`.

        Returns
        -------
        ndarray of shape (n_rows,), int64
            -1 for an anomaly, +1 otherwise and where there is no verdict.
        """
        return self.fit(X, y, times=times).predict(X, times=times)

    def score_samples(
        self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None, history: History = None
    ) -> FloatArray:
        """Minus the anomaly score: higher is more normal.

        Parameters
        ----------
        X, times, history
            As for `anomaly_score`.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            In [-1, 0].
        """
        return -self.anomaly_score(X, times=times, history=history)

    def decision_function(
        self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None, history: History = None
    ) -> FloatArray:
        """The distance to the threshold, negative for anomalies.

        Parameters
        ----------
        X, times, history
            As for `anomaly_score`.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            ``threshold_ - anomaly_score``.
        """
        return self.score_samples(X, times=times, history=history) - self.offset_

    def feature_contributions(
        self, X: npt.ArrayLike, *, times: npt.ArrayLike | None = None, history: History = None
    ) -> FloatArray:
        """How much each column did to the score of each row: its share of what is beyond the limits.

        Parameters
        ----------
        X, times, history
            As for `anomaly_score`.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
            A row within all limits shares out its distances from the middle instead; one without any is all 0.
        """
        scores = np.nan_to_num(self.column_scores(X, times=times, history=history))
        return excess_shares(scores)

    def _scores(self, series: Series, column: int) -> FloatArray:
        return self._scored(self._deviations(series, column), column)

    def _scored(self, deviations: FloatArray, column: int) -> FloatArray:
        return band_scores(deviations, self.low_[column], self.mid_[column], self.high_[column])

    def _verdicts(self, series: Series) -> IntArray:
        verdicts = self._judged(series, 0)
        for column in range(1, self.n_features_in_):
            np.minimum(verdicts, self._judged(series, column), out=verdicts)
        return series.answer(verdicts)

    def _judged(self, series: Series, column: int) -> IntArray:
        verdicts = np.empty(len(series.values), np.int64)
        judge_band(self._deviations(series, column), self.low_[column], self.high_[column], verdicts)
        return verdicts
