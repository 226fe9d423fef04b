"""What a job is asked, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from training.storage import StagedFile, Storage, publish_all

OUTPUT_FOLDER = "anomaly_detection"
"""Beside the feature file."""


@dataclass(frozen=True)
class TrainRequest:
    """Train a detector.

    Attributes
    ----------
    detector : str
        Its name, or "auto"; in any case.
    feature_file, label_file : str or None
        Names in the storage, with or without ``.csv`` or ``.parquet``.
    parameters : mapping
        The detector's own.
    save_charts : bool
        Whether to draw.
    """

    detector: str
    feature_file: str
    label_file: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    save_charts: bool = False


@dataclass(frozen=True)
class ValidateRequest:
    """Judge a trained model by labels; attributes as in `TrainRequest`."""

    model_path: str
    feature_file: str
    label_file: str
    save_charts: bool = False


@dataclass(frozen=True)
class InferRequest:
    """Score and judge rows.

    Attributes
    ----------
    detection_type : {"univariate", "multivariate"}
        What the rows are.
    feature_file : str
        A name in the storage.
    method : str or None
        For series without a model: a detector of series, or ``"auto"`` (`training.series_choice`); the file is judged
        by its own statistics.
    model_path : str or None
        A trained model; it goes before a method.
    parameters : mapping
        The method's own.
    save_charts : bool
        Whether to draw.
    """

    detection_type: Literal["univariate", "multivariate"]
    feature_file: str
    method: str | None = None
    model_path: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    save_charts: bool = False


@dataclass(frozen=True)
class Job:
    """Where and how a job is done.

    Attributes
    ----------
    storage : Storage
        Where its files are.
    stamp : int
        Unix time its outputs are named after; the caller sees to it that no other attempt has the same.
    progress : callable
        Called with the share that is done, 0 to 1, and what is being done now.
    stopped : callable
        Asked between steps; the job ends when it says True.
    max_rows, max_columns : int or None
        Larger files are refused.
    signing_key : bytes or None
        Of model files; the one of the environment if None.
    seed : int or None
        What random numbers are drawn from.
    """

    storage: Storage
    stamp: int
    progress: Callable[[float, str], None] = lambda _share, _doing: None
    stopped: Callable[[], bool] = lambda: False
    max_rows: int | None = None
    max_columns: int | None = None
    signing_key: bytes | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Result:
    """What is told of a job that was done; paths are keys of the storage.

    Attributes
    ----------
    predictions_label_file : str
        The prediction file.
    model_path : str or None
        The model that was trained.
    predictions_charts_file, predictions_charts_image : str or None
        The page and the picture, if they were asked for.
    metrics : dict or None
        How well it did, where there are labels. What is undefined is None.
    parameters : dict
        The detector's, as they are in force.
    detector : str
        Its key in the registry.
    threshold : float
        A row is an anomaly iff its score is above.
    chosen_because : str or None
        Why this detector, if it was chosen for the data.
    n_rows, n_anomalies, n_without_verdict : int
        Rows, those flagged, and those of series that could not be judged.
    """

    predictions_label_file: str
    parameters: dict[str, Any]
    detector: str
    threshold: float
    n_rows: int
    n_anomalies: int
    n_without_verdict: int = 0
    model_path: str | None = None
    predictions_charts_file: str | None = None
    predictions_charts_image: str | None = None
    metrics: dict[str, Any] | None = None
    chosen_because: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, without what there is none of.

        Returns
        -------
        dict
            By attribute.
        """
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Outcome:
    """What a job has made: nobody sees any of it before it is published.

    Attributes
    ----------
    storage : Storage
        Where it is staged.
    files : sequence of StagedFile
        In the order in which they are to appear, the model last.
    result : Result
        What is told of them.
    """

    storage: Storage
    files: Sequence[StagedFile]
    result: Result

    def publish(self) -> None:
        """Let all files be seen, or none of them.

        Raises
        ------
        training.errors.FileExists
            When one of the names is taken.
        """
        publish_all(self.storage, self.files)

    def discard(self) -> None:
        """Forget the files that were not published."""
        for file in self.files:
            file.discard()
