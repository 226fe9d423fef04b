"""Jobs: train, validate, infer, as functions of a storage and parameters. They know nothing of HTTP or of queues.

A job stages what it makes and publishes nothing: that is for its caller, who may have to make sure first that the
attempt still counts (`Outcome.publish`). Errors are those of `training.errors` and `detectors.errors`, with a `code`.
"""

from training.jobs.requests import InferRequest, Job, Outcome, Result, TrainRequest, ValidateRequest
from training.jobs.run import infer, train, validate

__all__ = [
    "InferRequest",
    "Job",
    "Outcome",
    "Result",
    "TrainRequest",
    "ValidateRequest",
    "infer",
    "train",
    "validate",
]
