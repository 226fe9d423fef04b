"""What the API of tasks, models and files answers with, as pydantic models: the OpenAPI document is made from them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["train", "valid", "infer"]
Status = Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]


class Answer(BaseModel):
    """What is said is all there is."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ErrorDetail(Answer):
    """What went wrong."""

    code: str = Field(description="A name to program against.")
    message: str = Field(description="A sentence for people, which names the culprit.")


class Error(Answer):
    """An error."""

    error: ErrorDetail


class Accepted(Answer):
    """A task that was taken."""

    id: UUID = Field(alias="_id", description="The `request_id`.")
    task: Kind
    status: Status
    task_id: UUID = Field(description="Celery's id of the task.")


class Progress(Answer):
    """How far a task is."""

    share: float = Field(ge=0, le=1)
    doing: str = Field(description="What is being done now.")


class TaskAnswer(Accepted):
    """A task."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    predictions_label_file: str | None = Field(description="Path of the predictions, when they are there.")
    predictions_charts_file: str | None = Field(
        default=None, description="Path of the charts, where they were asked for."
    )
    parameters: dict[str, Any] | None = Field(description="The detector's parameters in force.")
    chosen_because: str | None = Field(default=None, description="Why this detector, if it was left to the data.")
    progress: Progress
    attempt: int = Field(ge=0, description="How often it was begun.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    request: dict[str, Any] = Field(description="What was asked for.")
    error: ErrorDetail | None = Field(description="Why it failed, if it did.")


class TrainAnswer(TaskAnswer):
    """A training."""

    model_path: str | None = Field(description="Path of the trained model, when it is there.")


class ValidAnswer(TaskAnswer):
    """A validation."""

    metrics: dict[str, Any] | None = Field(description="How well the model did, when that is known.")


class InferAnswer(TaskAnswer):
    """An inference."""


class Tasks(Answer):
    """A page of tasks, the newest first."""

    tasks: list[TaskAnswer]


class FileAnswer(Answer):
    """A file."""

    path: str
    size: int = Field(ge=0, description="Bytes.")
    modified: datetime


class Files(Answer):
    """A page of files, in the order of their paths."""

    files: list[FileAnswer]


class ModelAnswer(FileAnswer):
    """A trained model."""

    detector: str | None
    trained_at: str | None
    versions: dict[str, str] | None = Field(description="What it was made with.")
    sha256: str | None


class Models(Answer):
    """A page of models, in the order of their paths."""

    models: list[ModelAnswer]


KIND_ANSWERS: dict[str, type[TaskAnswer]] = {"train": TrainAnswer, "valid": ValidAnswer, "infer": InferAnswer}
ANSWERS: tuple[type[BaseModel], ...] = (
    Error,
    Accepted,
    TrainAnswer,
    ValidAnswer,
    InferAnswer,
    TaskAnswer,
    Tasks,
    FileAnswer,
    Files,
    ModelAnswer,
    Models,
)
