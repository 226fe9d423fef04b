"""A detector behind a scaling of its features, as one detector."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.utils._param_validation import StrOptions

from detectors import state
from detectors.base import FloatArray, RowDetector
from detectors.errors import InvalidState

SCALINGS = ("none", "standard", "robust", "min-max", "absolute")
"""Names of scalings."""

_LARGEST = float(np.finfo(np.float64).max)


class Scaled(RowDetector):
    """Scores rows after each feature has been centred and divided by its spread in training.

    Parameters
    ----------
    detector : RowDetector
        What scores the scaled rows; a copy of it is fitted.
    scaling : {"standard", "robust", "min-max", "absolute", "none"}
        Mean and standard deviation; median and distance between the quartiles; minimum and range; median and mean
        absolute deviation from it, which a long tail widens less than the standard deviation; or 0 and 1. A feature
        without spread is centred only.

    Attributes
    ----------
    detector_ : RowDetector
        Fitted on scaled rows.
    center_, scale_ : ndarray of shape (n_features,), float64
        What is subtracted from a feature, and what it is then divided by.

    Examples
    --------
    >>> from detectors.dbscan import DBSCAN
    >>> rows = [[0.0, 0.0], [1.0, 1000.0], [2.0, 1000.0], [1.0, 0.0], [30.0, 0.0]]
    >>> Scaled(DBSCAN(eps=3.0, min_samples=3), "robust").fit(rows).predict(rows)
    array([ 1,  1,  1,  1, -1])
    """

    title = "Scaled"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "detector": [RowDetector],
        "scaling": [StrOptions(set(SCALINGS))],
    }

    _state_schema: ClassVar[Mapping[str, state.Array | state.Scalar]] = {
        "center_": state.Array("float64", ("n_features_in_",)),
        "scale_": state.Array("float64", ("n_features_in_",), low=float(np.finfo(np.float64).smallest_subnormal)),
    }

    detector_: RowDetector
    center_: FloatArray
    scale_: FloatArray

    def __init__(self, detector: RowDetector, scaling: str = "standard") -> None:
        self.detector = detector
        self.scaling = scaling

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Learn center and scale of each feature, then fit the detector.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Training rows.
        y : ignored
            There for scikit-learn's pipelines.

        Returns
        -------
        self
            The detector, fitted.

        Raises
        ------
        ValueError
            For a wrong parameter, for rows that are not finite numbers, and for a feature too large to be scaled.
        """
        self._validate_params()
        rows = self._training_rows(X)
        self.center_, self.scale_ = center_and_scale(rows, self.scaling)
        self.detector_ = clone(self.detector).fit(self._scale(rows))
        self.threshold_ = self.detector_.threshold_
        return self

    def _validate_params(self) -> None:
        super()._validate_params()
        self.detector._validate_params()

    def _scale(self, rows: FloatArray) -> FloatArray:
        if self.scaling == "none":
            return rows
        with np.errstate(over="ignore"):
            scaled = (rows - self.center_) / self.scale_
        return np.clip(scaled, -_LARGEST, _LARGEST, out=scaled)

    def anomaly_score(self, X: npt.ArrayLike) -> FloatArray:
        """How anomalous each row is, as the detector scores it scaled.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to judge, not scaled.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            In [0, 1].
        """
        rows = self._rows(X)
        return self.detector_.anomaly_score(self._scale(rows))

    def feature_contributions(self, X: npt.ArrayLike) -> FloatArray:
        """How much each feature did to the score, as the detector explains the scaled row.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to explain, not scaled.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
            Not negative; a row adds up to 1, or is all 0.
        """
        rows = self._rows(X)
        return self.detector_.feature_contributions(self._scale(rows))

    def __setstate__(self, encoded: Any) -> None:
        inner = encoded.get("detector_") if isinstance(encoded, dict) else None
        if inner is not None:
            encoded = {name: value for name, value in encoded.items() if name != "detector_"}
        super().__setstate__(encoded)
        if ("threshold_" in vars(self)) != (inner is not None):
            raise InvalidState("Scaled: it is fitted and its detector is not, or the other way round")
        if inner is not None:
            if type(inner) is not type(self.detector) or "threshold_" not in vars(inner):
                raise InvalidState(f"Scaled: detector_ is no fitted {type(self.detector).__name__}")
            if inner.n_features_in_ != self.n_features_in_:
                raise InvalidState(
                    f"Scaled: its detector has {inner.n_features_in_} features, not {self.n_features_in_}"
                )
            self.detector_ = inner


def center_and_scale(rows: FloatArray, scaling: str) -> tuple[FloatArray, FloatArray]:
    """What to subtract from each feature, and what to divide by.

    Parameters
    ----------
    rows : ndarray of shape (n, d), float64
        Finite.
    scaling : str
        One of `SCALINGS`.

    Returns
    -------
    center, scale : ndarray of shape (d,), float64
        The scale is 1 where there is no spread.

    Raises
    ------
    ValueError
        Names a feature whose spread is too large for a float.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if scaling == "standard":
            center, scale = rows.mean(axis=0), rows.std(axis=0)
            scale[rows.min(axis=0) == rows.max(axis=0)] = 0.0  # a mean that is rounded makes a spread of nothing
        elif scaling == "robust":
            first, center, third = np.quantile(rows, [0.25, 0.5, 0.75], axis=0)
            scale = third - first
        elif scaling == "absolute":
            center = np.median(rows, axis=0)
            scale = np.minimum(4.0 * np.abs(rows / 4.0 - center / 4.0).mean(axis=0), _LARGEST)
        elif scaling == "min-max":
            center = rows.min(axis=0)
            scale = rows.max(axis=0) - center
        else:
            center, scale = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    if not (np.isfinite(center) & np.isfinite(scale)).all():
        column = int(np.flatnonzero(~(np.isfinite(center) & np.isfinite(scale)))[0])
        raise ValueError(f"the values of column {column} are too large to be scaled")
    return center, np.where(scale > 0.0, scale, 1.0)
