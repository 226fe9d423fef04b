"""The three jobs: train, validate, infer."""

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from detectors import registry
from training.artifacts import dump_model
from training.errors import JobError, WrongKind
from training.features import Features
from training.jobs.drawing import check_installed, draw
from training.jobs.inputs import features_of, labels_of, model_of
from training.jobs.outputs import Outputs, Steps
from training.jobs.requests import InferRequest, Job, Outcome, Result, TrainRequest, ValidateRequest
from training.metrics import evaluate
from training.model import Model
from training.predictions import Predictions, predict, write_csv
from training.series_choice import is_auto
from training.train import reading_options
from training.train import train as train_model

Labels = npt.NDArray[np.int64] | None


def train(request: TrainRequest, job: Job) -> Outcome:
    """Train a detector, and judge the training rows.

    Parameters
    ----------
    request : TrainRequest
        What to train on what.
    job : Job
        Where and how.

    Returns
    -------
    Outcome
        The prediction file, the charts if asked for, the model and its sidecar.

    Raises
    ------
    detectors.errors.InlierError
        Whatever is wrong with the request or its files; nothing stays staged.
    """
    series = reading_options(request.detector)["missing"]  # refuses what is no detector before anything is read
    steps, features_key = _begin(job, request.feature_file, charts=request.save_charts)
    labels_key = None if request.label_file is None else job.storage.resolve(request.label_file)
    features = features_of(job, features_key, series=series)
    labels = None if labels_key is None else labels_of(job, labels_key, features)
    model = train_model(
        request.detector,
        features,
        labels,
        request.parameters,
        job.seed,
        steps.between(0.1, 0.7),
        stopped=job.stopped,
    )
    with Outputs(job, features_key, model.detector_name) as outputs:
        steps.at(0.7, f"scoring {len(features):,} rows")
        predictions = predict(model, features, of_training=True)
        result = _write(outputs, steps, model, features, predictions, labels, None, charts=request.save_charts)
        steps.at(0.95, "writing the model")
        del features, predictions, labels  # a model may be as large as they are, and is held several times
        model_path = _stage_model(outputs, model, job)
        steps.at(1.0, "done")
        return outputs.outcome(replace(result, model_path=model_path, metrics=model.metrics or None))


def validate(request: ValidateRequest, job: Job) -> Outcome:
    """Judge a trained model by labels.

    Parameters
    ----------
    request : ValidateRequest
        Which model on what.
    job : Job
        Where and how.

    Returns
    -------
    Outcome
        The prediction file, and the charts if asked for; the result has the metrics.

    Raises
    ------
    detectors.errors.InlierError
        Whatever is wrong with the request or its files; nothing stays staged.
    """
    steps, features_key = _begin(job, request.feature_file, charts=request.save_charts)
    labels_key = job.storage.resolve(request.label_file)
    model = model_of(job, request.model_path)
    with Outputs(job, features_key, model.detector_name) as outputs:
        steps.at(0.1, f"reading {features_key}")
        features = _features_for(model, job, features_key)
        labels = labels_of(job, labels_key, features)
        history = _history(features)
        steps.at(0.5, f"scoring {len(features):,} rows")
        predictions = predict(model, features, history)
        result = _write(outputs, steps, model, features, predictions, labels, history, charts=request.save_charts)
        metrics = evaluate(labels, predictions.scores, predictions.threshold)
        steps.at(1.0, "done")
        return outputs.outcome(replace(result, metrics=metrics))


def infer(request: InferRequest, job: Job) -> Outcome:
    """Score and judge rows: with a trained model, or a series by its own statistics.

    Parameters
    ----------
    request : InferRequest
        What to judge by what.
    job : Job
        Where and how.

    Returns
    -------
    Outcome
        The prediction file, and the charts if asked for.

    Raises
    ------
    detectors.errors.InlierError
        Whatever is wrong with the request or its files; nothing stays staged.
    """
    steps, features_key = _begin(job, request.feature_file, charts=request.save_charts)
    if request.model_path is not None:
        model = model_of(job, request.model_path)
        _check_kind(request, model.title, model.kind)
        steps.at(0.1, f"reading {features_key}")
        features = _features_for(model, job, features_key)
        history = _history(features)
    else:
        model, features = _of_its_own(request, job, features_key, steps)
        history = None
    with Outputs(job, features_key, model.detector_name) as outputs:
        steps.at(0.5, f"scoring {len(features):,} rows")
        predictions = predict(model, features, history)
        result = _write(outputs, steps, model, features, predictions, None, history, charts=request.save_charts)
        steps.at(1.0, "done")
        return outputs.outcome(result)


def _begin(job: Job, feature_file: str, *, charts: bool) -> tuple[Steps, str]:
    if charts:
        check_installed()
    steps = Steps(job)
    key = job.storage.resolve(feature_file)
    steps.at(0.0, f"reading {key}")
    return steps, key


def _of_its_own(request: InferRequest, job: Job, features_key: str, steps: Steps) -> tuple[Model, Features]:
    """Fit a method on the series that it is to judge."""
    if request.method is None:
        wanted = "method_name or model_path" if request.detection_type == "univariate" else "model_path"
        raise JobError(f"{request.detection_type} detection needs {wanted}")
    if is_auto(request.method):
        _check_kind(request, "auto", "univariate")
    else:
        detector = registry.find(request.method)
        _check_kind(request, detector.title, detector.kind)
    features = features_of(job, features_key, series=True, time="required")
    progress = steps.between(0.1, 0.4)
    return train_model(request.method, features, None, request.parameters, job.seed, progress), features


def _check_kind(request: InferRequest, title: str, kind: str) -> None:
    if kind != request.detection_type:
        raise WrongKind(f"{title} is for {kind} detection, not for {request.detection_type}")


def _features_for(model: Model, job: Job, key: str) -> Features:
    series = model.kind == "univariate"
    return features_of(job, key, series=series, time="required" if series and model.time_name else "auto")


def _history(features: Features) -> Literal["fitted"] | None:
    """Earlier rows that a model of series remembers count where times tell that they are earlier."""
    return None if features.times is None else "fitted"


def _write(
    outputs: Outputs,
    steps: Steps,
    model: Model,
    features: Features,
    predictions: Predictions,
    labels: Labels,
    history: Literal["fitted"] | None,
    *,
    charts: bool,
) -> Result:
    """Write the predictions and draw them; of the job's time, what is between 0.8 and 0.95."""
    steps.at(0.8, "writing predictions")
    file = outputs.stage("predictions.csv")
    write_csv(file.stream, predictions, features)
    page = picture = None
    if charts:
        steps.at(0.85, "drawing charts")
        page, picture = draw(outputs, model, features, predictions, labels, history)
    return Result(
        predictions_label_file=file.key,
        parameters=model.parameters,
        detector=model.detector_name,
        chosen_because=model.chosen_because,
        threshold=model.threshold,
        n_rows=len(features),
        n_anomalies=int(predictions.labels.sum()),
        n_without_verdict=_without_verdict(predictions),
        predictions_charts_file=page,
        predictions_charts_image=picture,
    )


def _without_verdict(predictions: Predictions) -> int:
    return 0 if predictions.missing is None else int(predictions.missing.sum())


def _stage_model(outputs: Outputs, model: Model, job: Job) -> str:
    data, sidecar = dump_model(model, job.signing_key)
    beside, file = outputs.stage("model.pkl.json"), outputs.stage("model.pkl")
    beside.write(sidecar)
    file.write(data)
    return file.key
