"""From a model and features to scores, and to the prediction file."""

import importlib.util
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from detectors.base import Detector
from detectors.errors import UnknownFeatures
from training import files
from training.errors import DataError
from training.features import Features
from training.model import Model
from training.times import finest_unit, formatted

FloatArray = npt.NDArray[np.float64]

_WRITTEN_ROWS = 100_000
"""Rows turned into text at a time."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of rows.

    Attributes
    ----------
    scores : ndarray of float64, shape (n_rows,)
        Anomaly scores.
    labels : ndarray of int64, shape (n_rows,)
        1 = anomaly.
    threshold : float
        What a score must exceed for that.
    missing : ndarray of bool, shape (n_rows,), or None
        Rows without a verdict, of which some series have: they score 0 here, and their cells in a file are empty.
    column_scores : dict of str to ndarray
        Where there are several series, the scores of each, NaN without a verdict.
    """

    scores: FloatArray
    labels: npt.NDArray[np.int64]
    threshold: float
    missing: npt.NDArray[np.bool_] | None = None
    column_scores: dict[str, FloatArray] = field(default_factory=dict)


def training_scores(detector: Detector, features: Features, rows: npt.NDArray[np.int64] | None = None) -> FloatArray:
    """Score the rows that a detector was fitted on, with their times where it is one of series.

    Parameters
    ----------
    detector : Detector
        Fitted.
    features : Features
        In the order of its columns.
    rows : ndarray of int64, optional
        Only these; not for series, whose rows don't stand alone.

    Returns
    -------
    ndarray of float64
        A score a row.
    """
    if detector.kind == "univariate":
        series: Any = detector
        return series.anomaly_score(features.values, times=features.times)  # type: ignore[no-any-return]
    return detector.training_scores(features.values, rows)


def predict(
    model: Model, features: Features, history: Literal["fitted"] | None = None, *, of_training: bool = False
) -> Predictions:
    """Score rows and judge them.

    Parameters
    ----------
    model : Model
        A trained model.
    features : Features
        Columns in any order.
    history : {"fitted"}, optional
        For series: put the end of the training series before the first row.
    of_training : bool
        Whether they are the very rows it was trained on, which some detectors score sooner.

    Returns
    -------
    Predictions
        In the order of the rows.

    Raises
    ------
    detectors.errors.UnknownFeatures
        If the features are others than those of training.
    DataError
        For rows that the detector refuses.
    """
    try:
        values = model.arrange(features.values, features.names)
    except UnknownFeatures as error:
        raise UnknownFeatures(f"{features.source}: {error}") from error
    try:
        if model.kind == "univariate":
            return _predict_series(model, values, features.times, history)
        detector = model.detector
        scores = detector.training_scores(values) if of_training else detector.anomaly_score(values)
    except ValueError as error:  # scikit-learn's word for wrong rows
        raise DataError(str(error), features.source) from error
    return Predictions(scores, (scores > model.threshold).astype(np.int64), model.threshold)


def _predict_series(
    model: Model, values: FloatArray, times: npt.NDArray[np.datetime64] | None, history: Literal["fitted"] | None
) -> Predictions:
    detector: Any = model.detector
    by_column: FloatArray = detector.column_scores(values, times=times, history=history)
    unknown = np.isnan(by_column)
    missing: npt.NDArray[np.bool_] = np.asarray(unknown.all(axis=1))
    scores: FloatArray = np.asarray(np.where(unknown, 0.0, by_column).max(axis=1))
    columns = dict(zip(model.feature_names, by_column.T, strict=True)) if values.shape[1] > 1 else {}
    labels = (scores > model.threshold).astype(np.int64)
    return Predictions(scores, labels, model.threshold, missing if missing.any() else None, columns)


def write_predictions(path: str | os.PathLike[str], predictions: Predictions, features: Features) -> Path:
    """Write the prediction file: the rows of the input in their order.

    Its columns are the time column if there was one (as ``Time`` if it is called like another one here),
    ``anomaly_score``, ``complementary_score``, ``label``, and for several series ``<column>_anomaly_score`` of each.
    Numbers are written so that they read back as the same bits.

    Parameters
    ----------
    path : path
        The CSV file, or Parquet where it ends in ``.parquet``; replaced in one step.
    predictions : Predictions
        What the model said.
    features : Features
        Of what; for its times.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    target = Path(path)
    check_suffix(target)
    try:
        with files.opened(target) as (staged, file):
            if target.suffix == ".parquet":
                _table(predictions, features, slice(None)).to_parquet(file, index=False)
            else:
                write_csv(file, predictions, features)
            file.flush()
            os.fsync(file.fileno())
            staged.replace(target)
        files.sync_folder(target.parent)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=str(target)) from error
    return target


def check_suffix(path: Path) -> None:
    """Refuse a prediction file of a kind that cannot be written here.

    Parameters
    ----------
    path : path
        Where it is to be.

    Raises
    ------
    DataError
        For Parquet without pyarrow.
    """
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise DataError("Parquet needs pyarrow; install inlier[parquet]", file=str(path))


def write_csv(stream: BinaryIO, predictions: Predictions, features: Features) -> None:
    """Write what `write_predictions` writes, as CSV, to an open binary file.

    Parameters
    ----------
    stream : binary file
        Left open.
    predictions, features
        As there.
    """
    finest = None if features.times is None else finest_unit(features.times)
    _table(predictions, features, slice(0, 0)).to_csv(stream, index=False)
    to_csv = _with_pandas if importlib.util.find_spec("orjson") is None else _with_orjson
    for start in range(0, len(predictions.scores), _WRITTEN_ROWS):
        stream.write(to_csv(predictions, features, slice(start, start + _WRITTEN_ROWS), finest))


def print_predictions(stream: TextIO, predictions: Predictions, features: Features) -> None:
    """Write what `write_predictions` writes, as CSV, to an open text file.

    Parameters
    ----------
    stream : text file
        E.g. standard output.
    predictions, features
        As there.
    """
    write_csv(cast("BinaryIO", _AsText(stream)), predictions, features)


class _AsText(io.RawIOBase):
    """A binary file that writes to a text file; every write is of whole characters."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._stream.write(bytes(data).decode())
        return len(data)


def _with_pandas(predictions: Predictions, features: Features, rows: slice, finest: str | None = None) -> bytes:
    return _table(predictions, features, rows, finest).to_csv(index=False, header=False, lineterminator="\n").encode()


def _with_orjson(predictions: Predictions, features: Features, rows: slice, finest: str | None = None) -> bytes:
    """The same numbers in a tenth of the time; text is needed for times only, which have no commas in them."""
    scores, labels = predictions.scores[rows], predictions.labels[rows].astype(np.float64)
    if predictions.missing is not None:
        scores = np.where(predictions.missing[rows], np.nan, scores)
        labels[predictions.missing[rows]] = np.nan
    # A label ends its row: of "0.0" and "1.0" the end goes.
    verdicts = _numbers(np.column_stack([scores, 1.0 - scores, labels])).replace(b".0],[", b"],[").removesuffix(b".0")
    parts = [verdicts.split(b"],[")]
    if features.times is not None:
        parts.insert(0, [str(cell).encode() for cell in formatted(features.times[rows], features.time_unit, finest)])
    if predictions.column_scores:
        parts.append(
            _numbers(np.column_stack([column[rows] for column in predictions.column_scores.values()])).split(b"],[")
        )
    lines = parts[0] if len(parts) == 1 else map(b",".join, zip(*parts, strict=True))
    return b"\n".join(lines) + b"\n"


def _numbers(table: FloatArray) -> bytes:
    """Rows of numbers with commas between them and ``],[`` between rows; NaN is nothing."""
    import orjson

    text: bytes = orjson.dumps(np.ascontiguousarray(table), option=orjson.OPT_SERIALIZE_NUMPY)
    return text[2:-2].replace(b"null", b"")


def _table(predictions: Predictions, features: Features, rows: slice, finest: str | None = None) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    scores = predictions.scores[rows]
    missing = predictions.missing
    if missing is None:
        columns |= {"anomaly_score": scores, "complementary_score": 1.0 - scores, "label": predictions.labels[rows]}
    else:
        known = ~missing[rows]
        columns["anomaly_score"] = np.where(known, scores, np.nan)
        columns["complementary_score"] = np.where(known, 1.0 - scores, np.nan)
        columns["label"] = pd.array(predictions.labels[rows], dtype="Int64")
        columns["label"][~known] = pd.NA
    for name, column in predictions.column_scores.items():
        columns[f"{name}_anomaly_score"] = column[rows]
    table = pd.DataFrame(columns)
    if features.times is not None:
        name = features.time_name or "Time"
        times = formatted(features.times[rows], features.time_unit, finest)
        table.insert(0, "Time" if name in columns else name, times)
    return table
