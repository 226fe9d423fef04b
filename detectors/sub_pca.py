"""SubPCA: windows that are far from where most windows of the series are, measured along their principal directions."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.linalg import eigh
from sklearn.utils._param_validation import Interval
from threadpoolctl import threadpool_limits

from detectors import state
from detectors.base import FloatArray
from detectors.errors import InvalidState
from detectors.sub_pca_kernels import direction_errors, free_values, window_products
from detectors.windows import Align, WindowDetector

_MOST_COMPONENTS = 64


class SubPCA(WindowDetector):
    """Flags rows in windows that the first principal directions of all windows do not account for.

    A window, less the series' mean, is a point with as many coordinates as it has rows. Along the principal directions
    of these points, with variances l1 >= l2 >= ..., the share ``l / (l + l1)`` of a window's square is taken as usual;
    the row's error is the root mean square of what is left of the window around the row. So a window counts as far
    where windows seldom go, twice as much across the first directions as along the very first. (It is Mahalanobis'
    distance with l1 added to every variance, times the root of l1 over the rows of a window.)

    Parameters
    ----------
    window : int or "auto"
        Rows of a window. "auto" is the fewest whole periods of the series that make 100 rows, or 150 rows if it has
        no period (see `detectors.periods.window_of`).
    n_components : int
        How many of the first directions count.
    c : float
        How many interquartile ranges beyond the third quartile of the training errors are still normal. (On noise,
        seasons and random walks of 4,000 rows without anomalies, 2.5 flags less than 0.1 % of the rows, 1.5 up to 2 %.)
    align : {"center", "end"}
        Where in its window a row is: in the middle, as far as the ends of the series allow, so that later rows count
        too; or at the end, so that its verdict stays whatever follows.

    Attributes
    ----------
    directions_ : ndarray of shape (n_features, longest window, n_directions)
        The principal directions of each column's windows; 0 past its window.
    usual_ : ndarray of shape (n_features, n_directions)
        The shares taken as usual.

    References
    ----------
    Q. Liu, J. Paparrizos: The Elephant in the Room: Towards a Reliable Time-Series Anomaly Detection Benchmark.
    NeurIPS 2024. Its Sub-PCA weights the distances of windows to all directions by one over their variance, by which
    the last direction outweighs all others, so that its ranking is that of the windows' distances from the mean.

    Examples
    --------
    >>> import numpy as np
    >>> series = np.sin(np.arange(2000) * 2 * np.pi / 50)[:, None]
    >>> series[1000:1010] += 3.0
    >>> np.flatnonzero(SubPCA().fit_predict(series) == -1)[[0, -1]]
    array([ 951, 1059])
    """

    title = "SubPCA"

    directions_: FloatArray
    usual_: FloatArray

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WindowDetector._parameter_constraints,
        "n_components": [Interval(Integral, 1, _MOST_COMPONENTS, closed="both")],
    }

    _state_schema: ClassVar[Mapping[str, state.Array | state.Scalar]] = {
        **WindowDetector._state_schema,
        "directions_": state.Array("float64", ("n_features_in_", "longest", "directions"), low=-1.0001, high=1.0001),
        "usual_": state.Array("float64", ("n_features_in_", "directions"), low=0.0, high=0.5001),
    }

    def __init__(
        self,
        window: int | Literal["auto"] = "auto",
        n_components: int = 10,
        c: float = 2.5,
        align: Align = "center",
    ) -> None:
        self.window = window
        self.n_components = n_components
        self.c = c
        self.align = align

    def _learn_column(self, values: FloatArray, column: int) -> None:
        if column == 0:
            count = min(self.n_components, int(self.windows_.min()))
            self.directions_ = np.zeros((len(self.windows_), int(self.windows_.max()), count))
            self.usual_ = np.zeros((len(self.windows_), count))
        window, count = int(self.windows_[column]), self.usual_.shape[1]
        products = np.empty((window, window))
        window_products(values, window, products)
        if not np.isfinite(products).all() or products[0, 0] == 0.0:
            return  # no direction: all of a window counts
        with threadpool_limits(1):  # the same bits on any number of threads
            variances, directions = eigh(products, subset_by_index=(window - count, window - 1))
        variances = np.maximum(variances[::-1], 0.0)
        self.directions_[column, :window] = directions[:, ::-1]
        self.usual_[column] = variances / (variances + variances[0])

    def _errors(self, values: FloatArray, column: int) -> FloatArray:
        errors = np.full(len(values), np.nan)
        if len(values) >= self.windows_[column]:
            direction_errors(values, *self._usual(column), errors)
        return errors

    def _free(self, values: FloatArray, column: int) -> FloatArray:
        found = np.full((len(values), 3), np.nan)
        if len(values) >= self.windows_[column]:
            free_values(values, *self._usual(column), found)
        return found

    def _usual(self, column: int) -> tuple[FloatArray, FloatArray, bool]:
        return self.directions_[column, : self.windows_[column]], self.usual_[column], self.align == "center"

    def _restore(self) -> None:
        super()._restore()
        if (self.windows_ > self.directions_.shape[1]).any():
            raise InvalidState("SubPCA: a window is longer than its directions")
