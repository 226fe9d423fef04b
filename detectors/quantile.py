"""Quantile: values beyond given quantiles of the training values."""

import math
from numbers import Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval

from detectors.base import FloatArray
from detectors.quantiles import quantiles
from detectors.series import SeriesDetector

_SHARE = Interval(Real, 0, 1, closed="both")


class Quantile(SeriesDetector):
    """Flags values above one quantile or below another of the training series.

    Parameters
    ----------
    low, high : float or None
        Shares of the training values, in [0, 1]; None leaves that side open, but not both.

    Attributes
    ----------
    low_, high_ : ndarray of shape (n_features,)
        The quantiles of each column.
    mid_ : ndarray of shape (n_features,)
        Its median, where the score is 0, or the quantile next to it.

    Examples
    --------
    >>> import numpy as np
    >>> Quantile(low=None, high=0.9).fit(np.arange(11.0)[:, None]).predict([[9.0], [9.5]])
    array([ 1, -1])
    """

    title = "Quantile"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"low": [_SHARE, None], "high": [_SHARE, None]}

    def __init__(self, low: float | None = 0.001, high: float | None = 0.999) -> None:
        self.low = low
        self.high = high

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.low is None and self.high is None:
            raise ValueError("Quantile: at least one of low and high must be given")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"Quantile: low = {self.low} is above high = {self.high}")

    def _band(self, deviations: FloatArray) -> tuple[float, float, float]:
        shares = [share for share in (self.low, 0.5, self.high) if share is not None]
        found = quantiles(deviations, [float(share) for share in shares])
        low = -math.inf if self.low is None else found[0]
        high = math.inf if self.high is None else max(found[-1], low)
        median = found[0 if self.low is None else 1]
        return low, min(max(median, low), high), high
