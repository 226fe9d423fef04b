"""What tasks do: `training.jobs`, told what the API was told."""

from collections.abc import Callable
from typing import Any

from serving.tasks.orders import FEATURE_FIELDS, Limits
from training.jobs import InferRequest, Job, Outcome, TrainRequest, ValidateRequest, infer, train, validate
from training.storage import Storage


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
    features = asked[FEATURE_FIELDS[kind]]
    if kind == "train":
        labels = asked.get("train_label_file")
        return train(TrainRequest(asked["model_name"], features, labels, parameters, charts), job)
    if kind == "valid":
        return validate(ValidateRequest(asked["model_path"], features, asked["valid_label_file"], charts), job)
    method, model = asked.get("method_name"), asked.get("model_path")
    return infer(InferRequest(asked["detection_type"], features, method, model, parameters, charts), job)
