"""POLY: windows that a local polynomial does not describe."""

from collections.abc import Mapping
from math import comb
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils._param_validation import Interval

from detectors import state
from detectors.base import FloatArray, IntArray
from detectors.errors import InvalidState
from detectors.poly_kernels import fit_errors, free_values, window_moments
from detectors.windows import Align, WindowDetector

_LONGEST_SPAN = 100
_HIGHEST_DEGREE = 6


class POLY(WindowDetector):
    """Flags rows in windows that are far from a polynomial fitted to a wider stretch of the series.

    For each row, a polynomial is fitted by least squares to a stretch of the series; the row's error is the root mean
    square of what it leaves of the window around the row.

    Parameters
    ----------
    window : int or "auto"
        Rows of a window. "auto" is the fewest whole periods of the series that make 100 rows, or 150 rows if it has
        no period (see `detectors.periods.window_of`).
    span : int
        How many windows long the stretch is that the polynomial is fitted to.
    degree : int
        Of the polynomial.
    c : float
        How many interquartile ranges beyond the third quartile of the training errors are still normal. (On noise,
        seasons and random walks of 4,000 rows without anomalies, 2.5 flags less than 0.1 % of the rows, 1.5 up to 2 %.)
    align : {"center", "end"}
        Where in its window a row is: in the middle, as far as the ends of the series allow, so that later rows count
        too; or at the end, so that its verdict stays whatever follows.

    Attributes
    ----------
    spans_ : ndarray of shape (n_features,), int64
        How many windows the stretch is long: `span`, or as many as there are in the training series.

    References
    ----------
    Q. Liu, J. Paparrizos: The Elephant in the Room: Towards a Reliable Time-Series Anomaly Detection Benchmark.
    NeurIPS 2024. Its POLY judges blocks side by side, without the first tenth of the series.

    Examples
    --------
    >>> import numpy as np
    >>> series = np.sin(np.arange(2000) * 2 * np.pi / 50)[:, None]
    >>> series[1000:1010] += 3.0
    >>> np.flatnonzero(POLY(c=5.0).fit_predict(series) == -1)[[0, -1]]
    array([ 951, 1059])
    """

    title = "POLY"

    spans_: IntArray

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WindowDetector._parameter_constraints,
        "span": [Interval(Integral, 1, _LONGEST_SPAN, closed="both")],
        "degree": [Interval(Integral, 0, _HIGHEST_DEGREE, closed="both")],
    }

    _state_schema: ClassVar[Mapping[str, state.Array | state.Scalar]] = {
        **WindowDetector._state_schema,
        "spans_": state.Array("int64", ("n_features_in_",), low=1),
    }

    def __init__(
        self,
        window: int | Literal["auto"] = "auto",
        span: int = 10,
        degree: int = 1,
        c: float = 2.5,
        align: Align = "center",
    ) -> None:
        self.window = window
        self.span = span
        self.degree = degree
        self.c = c
        self.align = align

    def _learn_column(self, values: FloatArray, column: int) -> None:
        if column == 0:
            self.spans_ = np.minimum(self.span, len(values) // self.windows_)

    def _reach(self) -> int:
        return int((self.windows_ * self.spans_).max())

    def _errors(self, values: FloatArray, column: int) -> FloatArray:
        errors = np.full(len(values), np.nan)
        if len(values) >= self.windows_[column]:
            fit_errors(values, *self._stretches(values, column), errors)
        return errors

    def _free(self, values: FloatArray, column: int) -> FloatArray:
        found = np.full((len(values), 3), np.nan)
        if len(values) >= self.windows_[column]:
            span = int(self.spans_[column])
            inverses = np.stack(
                [_inverse(count * int(self.windows_[column]), self.degree) for count in range(span + 1)]
            )
            free_values(values, *self._stretches(values, column), inverses, found)
        return found

    def _stretches(self, values: FloatArray, column: int) -> tuple[int, int, bool, FloatArray, FloatArray]:
        window, span = int(self.windows_[column]), int(self.spans_[column])
        moments = np.empty((len(values) - window + 1, self.degree + 1))
        window_moments(values, window, moments)
        return window, span, self.align == "center", moments, _weights(window, span, self.degree)

    def _restore(self) -> None:
        super()._restore()
        if (self.spans_ > self.span).any():
            raise InvalidState(f"POLY: a stretch is longer than span = {self.span}")


def _inverse(length: int, degree: int) -> FloatArray:
    """The inverse of the sums of products of powers of u over a stretch, which is -1 to 1 but for half a row."""
    if length == 0:
        return np.zeros((degree + 1, degree + 1))
    u = (2.0 * np.arange(length) + 1.0 - length) / length
    powers = np.vander(u, degree + 1, increasing=True)
    return np.asarray(np.linalg.pinv(powers.T @ powers, hermitian=True), dtype=np.float64)


def _weights(window: int, span: int, degree: int) -> FloatArray:
    """What makes coefficients over stretches of 1 to `span` windows of the moments of these windows.

    In a stretch of m windows, the b-th has ``u = (2 b + 1 - m + v) / m`` with v the place in the window, so the sums of
    ``u**k x`` follow from those of ``v**l x`` by the binomial theorem.
    """
    weights: FloatArray = np.zeros((span + 1, span, degree + 1, degree + 1))
    for count in range(1, span + 1):
        inverse = _inverse(count * window, degree)
        for block in range(count):
            shift = 2.0 * block + 1.0 - count
            powers = np.zeros((degree + 1, degree + 1))
            for power in range(degree + 1):
                for moment in range(power + 1):
                    powers[power, moment] = comb(power, moment) * shift ** (power - moment) / count**power
            weights[count, block] = inverse @ powers
    return weights
