"""What every Seldon model class of ours has: a model file behind the methods that Seldon Core calls."""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NoReturn, Self

import numpy as np
import numpy.typing as npt

from detectors.errors import DetectorError, InlierError
from serving.errors import BadData, ComponentError
from serving.model_uri import Signature, default_model_uri, model_file, signature
from serving.protocols import numbers
from training.artifacts import load_model
from training.model import Model

FloatArray = npt.NDArray[np.float64]

CLASS_NAMES: Final = ["Anomaly_score", "Complementary_score"]
_FEW: Final = 16
_OF_A_PREDICTION: Final = ("predict", "_judge", "rows", "tags", "metrics", "judged", "class_names")


@dataclass(slots=True)
class Judged:
    """What the last prediction of a thread was about.

    Attributes
    ----------
    rows : ndarray of shape (n, d)
        In the model's order of columns.
    scores : ndarray of shape (n,)
        Anomaly scores.
    labels : list of int
        1 for an anomaly.
    times : ndarray of datetime64[ns], optional
        Of the rows, where the request had them.
    no_verdict : list of int
        Rows (from 0) about which nothing can be said, as their values are missing.
    """

    rows: FloatArray
    scores: FloatArray
    labels: list[int] = field(default_factory=list)
    times: npt.NDArray[np.datetime64] | None = None
    no_verdict: list[int] = field(default_factory=list)


class DetectorModel:
    """A model file behind the methods that Seldon Core calls.

    Parameters
    ----------
    model_uri : str, optional
        A model file, a folder that holds one, or a ``file://`` address of either; without it `default_model_uri`.

    Attributes
    ----------
    signature : tuple or None
        Of the file, from before it was read: what changes after that has yet to be read. None for a model in memory.
    """

    detector: ClassVar[str]
    """The detector's name in the registry."""

    def __init__(self, model_uri: str | None = None) -> None:
        self.model_uri = model_uri or default_model_uri()
        self.signature: Signature | None = None
        self._model: Model | None = None
        self._constant_tags: dict[str, Any] = {}
        self._names: list[str] = []
        # The wrapper asks for tags and metrics after the prediction, in the same thread.
        self._last = threading.local()

    @classmethod
    def of(cls, model: Model) -> Self:
        """Serve a model that is in memory.

        Parameters
        ----------
        model : Model
            Of this class's detector.

        Returns
        -------
        DetectorModel
            Loaded.
        """
        served = cls()
        served._take(model)
        return served

    def load(self) -> None:
        """Read the model file and score a few rows, so that the first request waits for nothing.

        Raises
        ------
        training.errors.ModelFileError
            If the file is missing, damaged or not trusted.
        ComponentError
            If it is the model of another detector, or the folder doesn't hold exactly one model file.
        """
        if self._model is None:
            self.signature = signature(self.model_uri)
            self._take(load_model(model_file(self.model_uri)))

    def _take(self, model: Model) -> None:
        if model.detector_name != self.detector:
            raise ComponentError(f"{type(self).__name__} serves {self.detector}, the file is {model.detector_name}")
        model.warm_up()
        self._names = list(model.feature_names)
        self._constant_tags = {
            "model_name": f"model_{model.detector_name}",
            "detector": model.title,
            "version": model.trained_at,
            "threshold": model.threshold,
        }
        self._model = model

    @property
    def model(self) -> Model:
        """What the file holds, which is read now if it has not been."""
        if self._model is None:
            self.load()
        assert self._model is not None  # noqa: S101 - for mypy
        return self._model

    def predict(
        self,
        X: Any,
        names: Sequence[str] | None = None,
        meta: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> FloatArray:
        """Score rows.

        Parameters
        ----------
        X : array-like of shape (n, d), or dict, or list of dict
            Rows of numbers, or rows as objects of named features.
        names : sequence of str, optional
            Of the columns, in any order; without names they are in the order of training.
        meta : dict, optional
            The request's; not used.

        Returns
        -------
        ndarray of shape (n, 2), float64
            Anomaly score and complementary score.

        Raises
        ------
        BadData
            Names what is wrong with the rows; under ``seldon-core-microservice`` its own error with status 400.
        """
        if self._model is None:
            self.load()
        try:
            judged = self._judge(X, [] if names is None else list(names))
        except BadData as error:
            _refuse(error)
        self._last.judged = judged
        scores = judged.scores
        judged.labels = self._labels(scores)
        answer = np.empty((len(scores), 2))
        answer[:, 0] = scores
        np.subtract(1.0, scores, out=answer[:, 1])
        return answer

    @property
    def batches(self) -> bool:
        """Whether rows of several requests may be judged by one call.

        So it is where each row stands alone, and no subclass has a way of its own.
        """
        own = all(getattr(type(self), name) is getattr(DetectorModel, name) for name in _OF_A_PREDICTION)
        return own and self.model.detector.kind == "multivariate"

    def rows(self, X: Any, names: list[str], *, missing: bool = False) -> FloatArray:
        """What `predict` makes of its arguments.

        Parameters
        ----------
        X, names
            As for `predict`.
        missing : bool
            Whether null is a missing value (NaN).

        Returns
        -------
        ndarray of shape (n, d), float64
            In the model's order of columns.

        Raises
        ------
        BadData
            Names what is wrong with the rows.
        """
        if isinstance(X, dict) or (isinstance(X, list) and X and isinstance(X[0], dict)):
            X, names = numbers.table(X)
        rows = numbers.matrix(X, names or self._names, missing=missing)
        if names != self._names:
            try:
                rows = self.model.arrange(rows, names)
            except DetectorError as error:
                raise BadData(str(error)) from error
        elif rows.shape[1] != len(names):
            raise BadData(f"there are {len(names)} names for rows of {rows.shape[1]} numbers")
        return rows if rows.flags.c_contiguous else np.ascontiguousarray(rows)

    def judge(self, rows: FloatArray) -> Judged:
        """Judge rows of several requests.

        Parameters
        ----------
        rows : ndarray of shape (n, d)
            As `rows` returned them.

        Returns
        -------
        Judged
            Each row as if it were alone.

        Raises
        ------
        ValueError
            For numbers that are not finite.
        """
        scores = self.model.detector.anomaly_score(rows)
        return Judged(rows, scores, self._labels(scores))

    def _labels(self, scores: FloatArray) -> list[int]:
        threshold = self.model.threshold
        if len(scores) <= _FEW:  # each call of numpy's costs as much as all of this
            return [1 if score > threshold else 0 for score in scores.tolist()]
        return list((scores > threshold).tobytes())  # a byte each: half of what tolist() takes

    def _judge(self, X: Any, names: list[str]) -> Judged:
        rows = self.rows(X, names)
        try:
            return Judged(rows, self.model.detector.anomaly_score(rows))
        except ValueError as error:
            numbers.blame_not_finite(rows, self._names)
            raise BadData(str(error)) from error

    def explain(self, judged: Judged) -> FloatArray:
        """How much each feature did to the score of each row.

        Parameters
        ----------
        judged : Judged
            What `judged` returned after the prediction.

        Returns
        -------
        ndarray of shape (n, d), float64
            Columns in the order of `feature_names`.
        """
        return self.model.detector.feature_contributions(judged.rows)

    def judged(self) -> Judged | None:
        """The rows, scores and labels of this thread's last prediction."""
        return getattr(self._last, "judged", None)

    def class_names(self) -> list[str]:
        """What the two columns of an answer are called."""
        return CLASS_NAMES

    def feature_names(self) -> list[str]:
        """What the columns were called in training."""
        return list(self.model.feature_names)

    def tags(self) -> dict[str, Any]:
        """Model, detector, threshold, and the labels of this thread's last prediction (1 = anomaly)."""
        judged = self.judged()
        if judged is None:
            return self._constant_tags
        tags = self.tags_of(judged.labels)
        return {**tags, "no_verdict": judged.no_verdict} if judged.no_verdict else tags

    def tags_of(self, labels: list[int]) -> dict[str, Any]:
        """`tags` of rows with these labels."""
        return {**self._constant_tags, "labels": labels}

    def metrics(self) -> list[dict[str, Any]]:
        """Rows and anomalies of this thread's last prediction."""
        judged = self.judged()
        return [] if judged is None else self.metrics_of(judged.labels)

    def metrics_of(self, labels: list[int]) -> list[dict[str, Any]]:
        """`metrics` of rows with these labels."""
        return [
            {"type": "COUNTER", "key": "inlier_rows", "value": len(labels)},
            {"type": "COUNTER", "key": "inlier_anomalies", "value": labels.count(1)},
        ]

    def transform_input(self, X: Any, names: Any = None, meta: Any = None) -> Any:  # noqa: ARG002
        """The rows as they came: a class without this method would be asked about its last prediction after it."""
        self._forget()
        return X

    transform_output = transform_input

    def send_feedback(self, features: Any, names: Any, reward: float, truth: Any, routing: int | None = None) -> None:  # noqa: ARG002
        """Learn nothing from it; like `transform_input`, it is about no prediction of this thread."""
        self._forget()

    def _forget(self) -> None:
        """Have the tags and metrics of an answer be about no rows."""
        self._last.judged = None

    def health_status(self) -> list[str]:
        """Say that the model is loaded, or raise what hinders it."""
        self._forget()
        return [f"{self.model.title} is ready"]

    def init_metadata(self) -> dict[str, Any]:
        """What the model is, as Seldon Core's metadata has it."""
        model = self.model
        width = len(model.feature_names)
        facts = model.metadata()
        return {
            "name": f"model_{model.detector_name}",
            "versions": [model.trained_at],
            "platform": "inlier",
            "inputs": [{"messagetype": "tensor", "schema": {"names": list(model.feature_names), "shape": [width]}}],
            "outputs": [{"messagetype": "tensor", "schema": {"names": CLASS_NAMES, "shape": [2]}}],
            "custom": {
                name: value if isinstance(value, str) else repr(value)
                for name, value in facts.items()
                if name in ("title", "kind", "threshold", "n_rows", "trained_at")
            },
        }


def _refuse(error: InlierError) -> NoReturn:
    """Raise for a client's mistake, as whatever server runs this class understands it."""
    wrapper = sys.modules.get("seldon_core.flask_utils")
    if wrapper is None or getattr(wrapper, "__inlier__", False):
        raise error
    raise wrapper.SeldonMicroserviceException(str(error), status_code=400) from error
