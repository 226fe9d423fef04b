"""What a worker tells a child process; it imports none of what the work takes."""

from dataclasses import dataclass
from typing import Any

from serving.settings import StorageSettings

PUBLISH = "publish"
"""What the worker says when the attempt still counts."""

FEATURE_FIELDS = {"train": "train_feature_file", "valid": "valid_feature_file", "infer": "features_file"}
OUTPUT_FOLDER = "anomaly_detection"


@dataclass(frozen=True)
class Limits:
    """What a job may read."""

    max_rows: int
    max_columns: int


@dataclass(frozen=True)
class Order:
    """What a child is asked to do; it crosses the process boundary."""

    kind: str
    parameters: dict[str, Any]
    stamp: int
    storage: StorageSettings
    storage_url: str
    limits: Limits
    memory_bytes: int


def output_folder(kind: str, asked: dict[str, Any]) -> str:
    """Return where a task's files go: beside its feature file."""
    folder = asked[FEATURE_FIELDS[kind]].rpartition("/")[0]
    return f"{folder}/{OUTPUT_FOLDER}" if folder else OUTPUT_FOLDER
