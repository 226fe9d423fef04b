"""What tasks do: `training.jobs`, told what the API was told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training.jobs import InferRequest, Job, Outcome, TrainRequest, ValidateRequest, infer, train, validate
from training.jobs.requests import OUTPUT_FOLDER
from training.storage import Storage

_FEATURES = {"train": "train_feature_file", "valid": "valid_feature_file", "infer": "features_file"}


@dataclass(frozen=True)
class Limits:
    """What a job may read."""

    max_rows: int
    max_columns: int


def output_folder(kind: str, asked: dict[str, Any]) -> str:
    """Return where a task's files go: beside its feature file."""
    folder = asked[_FEATURES[kind]].rpartition("/")[0]
    return f"{folder}/{OUTPUT_FOLDER}" if folder else OUTPUT_FOLDER


def run(
    kind: str,
    storage: Storage,
    asked: dict[str, Any],
    stamp: int,
    limits: Limits,
    progress: Callable[[float, str], None],
) -> Outcome:
    """Do a job; what it makes is staged, not published.

    Parameters
    ----------
    kind : {"train", "valid", "infer"}
        Which job.
    storage : Storage
        Where its files are.
    asked : dict
        The fields of the request that were there.
    stamp : int
        What its outputs are named after.
    limits : Limits
        What it may read.
    progress : callable
        Takes the share that is done, and what is being done.
    """
    job = Job(storage, stamp, progress, max_rows=limits.max_rows, max_columns=limits.max_columns)
    charts = asked.get("save_charts", False)
    parameters = asked.get("parameters", {})
    features = asked[_FEATURES[kind]]
    if kind == "train":
        labels = asked.get("train_label_file")
        return train(TrainRequest(asked["model_name"], features, labels, parameters, charts), job)
    if kind == "valid":
        return validate(ValidateRequest(asked["model_path"], features, asked["valid_label_file"], charts), job)
    method, model = asked.get("method_name"), asked.get("model_path")
    return infer(InferRequest(asked["detection_type"], features, method, model, parameters, charts), job)
