"""From predictions to charts."""

import importlib.util
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from training.charts import Charts, row_charts, series_charts, write_html, write_png
from training.errors import NotInstalled
from training.features import Features
from training.jobs.outputs import Outputs
from training.model import Model
from training.predictions import Predictions

EXPLAINED_ROWS = 2_000
"""Of which the mean contributions are drawn; of more, so many evenly spaced ones."""


def check_installed() -> None:
    """Refuse to begin what could not be drawn in the end.

    Raises
    ------
    NotInstalled
        Without the extra ``charts``.
    """
    missing = [name for name in ("matplotlib", "plotly", "tsdownsample") if importlib.util.find_spec(name) is None]
    if missing:
        raise NotInstalled(f"charts need {', '.join(missing)}: install inlier[charts]")


def draw(
    outputs: Outputs,
    model: Model,
    features: Features,
    predictions: Predictions,
    labels: npt.NDArray[np.int64] | None,
    history: Literal["fitted"] | None,
) -> tuple[str, str]:
    """Stage the page and the picture.

    Parameters
    ----------
    outputs : Outputs
        Where they go.
    model, features, predictions : Model, Features, Predictions
        Who said what of which rows.
    labels : ndarray of int64 or None
        The truth, if it is known.
    history : {"fitted"} or None
        As it was for the predictions.

    Returns
    -------
    tuple of str
        The keys of the page and of the picture.
    """
    charts = (
        _series(model, features, predictions, labels, history)
        if model.kind == "univariate"
        else _rows(model, features, predictions, labels)
    )
    if model.chosen_because is not None:
        charts = replace(charts, notes=(f"{model.title} was chosen: {model.chosen_because}.", *charts.notes))
    page, picture = outputs.stage("charts.html"), outputs.stage("charts.png")
    write_html(charts, page.stream)
    write_png(charts, picture.stream)
    return page.key, picture.key


def _facts(model: Model, predictions: Predictions) -> list[str]:
    n_rows, n_flagged = len(predictions.scores), int(predictions.labels.sum())
    return [
        model.title,
        f"{n_rows:,} rows",
        f"{n_flagged:,} anomalies ({n_flagged / n_rows:.2%})",
        f"threshold {model.threshold:.3g}",
    ]


def _title(features: Features) -> str:
    return features.source.rpartition("/")[2]


def _rows(model: Model, features: Features, predictions: Predictions, labels: npt.NDArray[np.int64] | None) -> Charts:
    values = model.arrange(features.values, features.names)
    rows, explained = _explained(predictions)
    return row_charts(
        _title(features),
        model.feature_names,
        values,
        predictions.scores,
        model.threshold,
        model.detector.feature_contributions(values[rows]).mean(axis=0),
        explained,
        labels,
        _facts(model, predictions),
    )


def _explained(predictions: Predictions) -> tuple[npt.NDArray[np.int64], str]:
    rows, explained = np.flatnonzero(predictions.labels), "anomalies"
    if len(rows) == 0:
        count = max(1, min(EXPLAINED_ROWS, len(predictions.scores) // 100))
        rows, explained = np.argsort(-predictions.scores, kind="stable")[:count], f"{count:,} highest scores"
    if len(rows) > EXPLAINED_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, EXPLAINED_ROWS).astype(np.int64)]
    return rows, explained


def _series(
    model: Model,
    features: Features,
    predictions: Predictions,
    labels: npt.NDArray[np.int64] | None,
    history: Literal["fitted"] | None,
) -> Charts:
    detector: Any = model.detector
    values = model.arrange(features.values, features.names)
    limits = detector.limits(values, times=features.times, history=history)
    scores = predictions.scores
    if predictions.missing is not None:
        scores = np.where(predictions.missing, np.nan, scores)
    columns = predictions.column_scores
    by_column = np.column_stack([columns[name] for name in model.feature_names]) if columns else scores[:, None]
    return series_charts(
        _title(features),
        model.feature_names,
        values,
        scores,
        by_column,
        model.threshold,
        features.times,
        limits.low,
        limits.high,
        labels,
        _facts(model, predictions),
    )
