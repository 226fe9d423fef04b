"""IQR: values far outside the middle half of the training values."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from detectors.base import FloatArray
from detectors.quantiles import quantiles
from detectors.series import SeriesDetector


class IQR(SeriesDetector):
    """Flags values above Q3 + c·IQR or below Q1 - c·IQR of the training series, IQR being Q3 - Q1.

    Parameters
    ----------
    c : float or pair of float or None
        How many interquartile ranges beyond the quartiles are still normal; a pair is for the low and the high side,
        None in it leaves that side open.

    Attributes
    ----------
    low_, high_ : ndarray of shape (n_features,)
        The limits of each column.
    mid_ : ndarray of shape (n_features,)
        Its median, where the score is 0.

    Examples
    --------
    >>> import numpy as np
    >>> series = np.array([[4.0], [5.0], [6.0], [5.0], [4.0], [30.0], [5.0]])
    >>> IQR(c=3.0).fit_predict(series)
    array([ 1,  1,  1,  1,  1, -1,  1])
    """

    title = "IQR"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "c": [Interval(Real, 0, None, closed="left"), tuple, list]
    }

    def __init__(self, c: float | Sequence[float | None] = 3.0) -> None:
        self.c = c

    def _validate_params(self) -> None:
        super()._validate_params()
        self._factors()

    def _factors(self) -> tuple[float | None, float | None]:
        if not isinstance(self.c, Sequence):
            return self.c, self.c
        if len(self.c) != 2 or all(factor is None for factor in self.c):
            raise ValueError(f"IQR: c is a number or a pair (low, high) of which one may be None, not {self.c!r}")
        for factor in self.c:
            if factor is not None and not (isinstance(factor, (int, float, np.number)) and 0 <= factor < math.inf):
                raise ValueError(f"IQR: c has {factor!r} in it, which is not a number of at least 0")
        return self.c[0], self.c[1]

    def _band(self, deviations: FloatArray) -> tuple[float, float, float]:
        low, high = self._factors()
        first, median, third = quantiles(deviations, [0.25, 0.5, 0.75])
        bottom = -math.inf if low is None else first - (third - first) * low
        top = math.inf if high is None else third + (third - first) * high
        return _ordered(bottom, median, top)


def _ordered(low: float, mid: float, high: float) -> tuple[float, float, float]:
    # 0 * infinity, where the range itself overflows: that side cannot be passed
    low = -math.inf if math.isnan(low) else low
    high = math.inf if math.isnan(high) else high
    return low, min(max(mid, low), high), high
