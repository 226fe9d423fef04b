"""The detector contract: scikit-learn's outlier detectors, plus a score between 0 and 1 and each feature's part in it.

A new detector is a module with a subclass of `Detector` (rows that stand alone: `RowDetector`) and a line in
``detectors/registry.py``; the contract suite in ``tests/contract`` then tests it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted, validate_data

from detectors import state
from detectors.errors import InvalidState, TooLittle

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_VERY_FEW_VALUES = 16  # up to here Python is faster than numpy
_FEW_VALUES = 4096  # up to here a truth value for each is faster than a sum, and small


class Detector(OutlierMixin, BaseEstimator, ABC):
    """What all detectors have in common.

    A row is an anomaly iff ``anomaly_score > threshold_``.

    Attributes
    ----------
    threshold_ : float
        In [0, 1).
    n_features_in_ : int
        Columns of the training rows.
    feature_names_in_ : ndarray of str
        Their names, where the detector was fitted on a data frame.
    """

    title: ClassVar[str]
    """The name people know it by, e.g. ``"iNNE"``."""

    kind: ClassVar[Literal["multivariate", "univariate"]]
    """Rows that stand alone, or series in time order."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]]
    """scikit-learn's table of what each parameter may be."""

    _state_schema: ClassVar[Mapping[str, state.Array | state.Scalar]]
    """The fitted attributes besides those of every detector."""

    threshold_: float
    n_features_in_: int

    @abstractmethod
    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Learn what is normal.

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
            For a parameter out of its range, or for rows that are not finite numbers in two dimensions.
        """

    @abstractmethod
    def anomaly_score(self, X: npt.ArrayLike) -> FloatArray:
        """How anomalous each row is.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to judge.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            In [0, 1], higher is more anomalous. The complementary score is one minus it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            For rows of another width, or not finite numbers.
        """

    def training_scores(self, X: npt.ArrayLike, rows: IntArray | None = None) -> FloatArray:
        """What `anomaly_score` says of the rows it was fitted on, sooner where fitting has found some of it out.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            The very rows given to `fit`.
        rows : ndarray of int64, optional
            Only these of them; not for series, whose rows don't stand alone.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            The same bits.
        """
        return self.anomaly_score(X if rows is None else np.asarray(X)[rows])

    @abstractmethod
    def feature_contributions(self, X: npt.ArrayLike) -> FloatArray:
        """How much each feature did to the score of each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to explain.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
            Not negative; a row adds up to 1, or is all 0 where there is nothing to explain.
        """

    @property
    def offset_(self) -> float:
        """Minus the threshold, as scikit-learn's outlier detectors have it."""
        return -self.threshold_

    def score_samples(self, X: npt.ArrayLike) -> FloatArray:
        """Minus the anomaly score: higher is more normal.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to judge.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            In [-1, 0].
        """
        return -self.anomaly_score(X)

    def decision_function(self, X: npt.ArrayLike) -> FloatArray:
        """The distance to the threshold, negative for anomalies.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to judge.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            ``threshold_ - anomaly_score``.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: npt.ArrayLike) -> IntArray:
        """The verdict.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to judge.

        Returns
        -------
        ndarray of shape (n_rows,), int64
            -1 for an anomaly, +1 otherwise.
        """
        return np.where(self.anomaly_score(X) > self.threshold_, -1, 1)

    def __getstate__(self) -> dict[str, Any]:
        return state.encode({name: value for name, value in vars(self).items() if not name.startswith("_")})

    def __setstate__(self, encoded: Any) -> None:
        if not isinstance(encoded, dict) or not all(isinstance(name, str) for name in encoded):
            raise InvalidState(f"{type(self).__name__}: its state is not a table of attributes")
        attributes = state.decode(encoded)
        parameters = set(self._get_param_names())
        if missing := sorted(parameters - attributes.keys()):
            raise InvalidState(f"{type(self).__name__}: parameter {missing[0]} is missing")
        fitted = {name: value for name, value in attributes.items() if name not in parameters}
        self.__dict__.update({name: attributes[name] for name in parameters})
        self._validate_parameters_of_state()
        if fitted:
            state.check(fitted, self._schema(fitted))
            self.__dict__.update(fitted)
            self._restore()

    def _validate_params(self) -> None:
        for name, value in self.get_params(deep=False).items():
            parts = value if isinstance(value, (list, tuple)) else (value,)
            if any(isinstance(part, (bool, np.bool_)) for part in parts):  # Python would take them for 0 and 1
                raise InvalidParameterError(f"{name} is {value!r}; no parameter of a detector is true or false")
        super()._validate_params()

    def _validate_parameters_of_state(self) -> None:
        """Refuse parameters that `fit` would; an unfitted clone in a pickle may still hold wrong ones."""
        try:
            self._validate_params()
        except ValueError as error:
            raise InvalidState(str(error)) from error

    def _schema(self, fitted: Mapping[str, Any]) -> dict[str, state.Array | state.Scalar]:
        names = {"feature_names_in_": state.Array("object", ("n_features_in_",))}
        return {
            "n_features_in_": state.Scalar(int, low=1),
            "threshold_": state.Scalar(float, low=0.0, high=float(np.nextafter(1.0, 0.0))),
            **(names if "feature_names_in_" in fitted else {}),
            **self._state_schema,
        }

    def _restore(self) -> None:
        """Check what a schema cannot say, and rebuild what is derived from it: names with a leading underscore."""


class RowDetector(Detector):
    """A detector of rows that stand alone: how its input is checked."""

    kind = "multivariate"

    def _training_rows(self, X: npt.ArrayLike, least: int = 1) -> FloatArray:
        rows = self._checked_rows(X)
        if len(rows) < least:
            raise TooLittle(
                f"{type(self).__name__} needs {least} rows or more (n_samples = {len(rows)})",
                f"needs {least} rows or more, and there {'is' if len(rows) == 1 else 'are'} {len(rows)}",
            )
        return rows

    def _rows(self, X: npt.ArrayLike) -> FloatArray:
        # scikit-learn's validation takes 50 us, a row's score 10; what it would pass unchanged need not go through it.
        if (
            type(X) is np.ndarray
            and X.dtype == np.float64
            and X.ndim == 2
            and X.flags.carray
            and "threshold_" in vars(self)
            and "feature_names_in_" not in vars(self)
            and X.shape[1] == self.n_features_in_
            and X.shape[0] > 0
            and _surely_finite(X)
        ):
            return X
        check_is_fitted(self)
        return self._checked_rows(X, reset=False)

    def _checked_rows(self, X: npt.ArrayLike, **checks: Any) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore"):  # scikit-learn sums the largest numbers up
            rows = validate_data(self, X, dtype=np.float64, order="C", **checks)
        # To numba a read-only or unaligned array is of another type, for which it would compile every kernel again.
        return np.require(np.asarray(rows), requirements=["C", "A", "W"])


def _surely_finite(values: FloatArray) -> bool:
    """Whether no value is NaN or infinite; of large numbers it may say no, as their sum overflows."""
    if values.size <= _VERY_FEW_VALUES:
        return all(map(math.isfinite, values.ravel().tolist()))
    if values.size <= _FEW_VALUES:
        return bool(np.isfinite(values).all())
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))
