"""What can be known of a task before it runs: its files are there, its model is one, its parameters have names."""

from typing import Any

import orjson

from detectors import registry
from detectors.base import Detector
from detectors.errors import UnknownDetector
from serving.errors import NotFound, RequestError, UpstreamDown
from serving.proxy.task_bodies import InferBody, TaskBody, TrainBody, ValidBody, series_methods
from training.artifacts import check_model
from training.errors import FileMissing, InvalidPath, ModelFileError, StorageUnavailable, TrainingError
from training.series_choice import is_auto
from training.storage import Storage
from training.storage.keys import DATA_SUFFIXES
from training.train import checked_parameters, make

CHECKED_BYTES = 4 * 2**20
"""A model file up to this size is checked whole at once; of a larger one, the size, and the rest by the task."""


def check(body: TaskBody, storage: Storage, max_depth: int) -> None:
    """Refuse a task that cannot succeed.

    Raises
    ------
    NotFound
        For a detector, file or model that is not there.
    RequestError
        For whatever else is wrong with the request; names the field.
    """
    if body.parameters is not None and _depth(body.parameters) > max_depth:
        raise RequestError(f"parameters: nested more than {max_depth} deep")
    if isinstance(body, TrainBody):
        _check_detector(body)
        _check_file(storage, "train_feature_file", body.train_feature_file)
        if body.train_label_file is not None:
            _check_file(storage, "train_label_file", body.train_label_file)
    elif isinstance(body, ValidBody):
        _refuse_parameters(body, "a trained model has its parameters")
        _check_file(storage, "valid_feature_file", body.valid_feature_file)
        _check_file(storage, "valid_label_file", body.valid_label_file)
        _model_detector(storage, body.model_path)
    elif isinstance(body, InferBody):
        _check_file(storage, "features_file", body.features_file)
        _check_infer(body, storage)


def _check_detector(body: TrainBody) -> None:
    if is_auto(body.model_name):
        _refuse_parameters(body, "auto chooses the detector and its parameters")
    else:
        _check_parameters(_detector("model_name", body.model_name), body.parameters)


def _check_infer(body: InferBody, storage: Storage) -> None:
    chosen = body.method_name is not None and is_auto(body.method_name)
    method = None if body.method_name is None or chosen else _detector("method_name", body.method_name)
    if method is not None and method.kind != "univariate":
        raise RequestError(f"method_name: {method.title} is not a method for a single series; it is {series_methods()}")
    if body.model_path is None:
        if chosen:
            _refuse_parameters(body, "auto chooses the method, which has its defaults")
        _check_parameters(method, body.parameters)
        return
    _refuse_parameters(body, "a trained model has its parameters")
    detector = _model_detector(storage, body.model_path)
    if detector.kind != body.detection_type:
        raise RequestError(
            f"model_path: the model is one of {detector.title}, which is {detector.kind}, not {body.detection_type}"
        )
    if method not in (None, detector):
        raise RequestError(f"method_name: the model is one of {detector.title}, not of {method.title}")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        inner = [part for part in level if isinstance(part, (dict, list))]
        level = [piece for part in inner for piece in (part.values() if isinstance(part, dict) else part)]
    return depth


def _detector(field: str, name: str) -> type[Detector]:
    try:
        return registry.find(name)
    except UnknownDetector as error:
        raise NotFound(f"{field}: {error}") from None


def _refuse_parameters(body: TaskBody, why: str) -> None:
    if body.parameters:
        raise RequestError(f"parameters: {why}")


def _check_parameters(detector: type[Detector] | None, parameters: dict[str, Any] | None) -> None:
    if detector is None or not parameters:
        return
    try:
        made = make(detector, checked_parameters(detector, parameters, None))
        made._validate_params()  # scikit-learn's own check of values
    except (TrainingError, ValueError, TypeError, OverflowError) as error:  # as Python or numpy find it wrong
        raise RequestError(f"parameters: {error}") from None


def _check_file(storage: Storage, field: str, path: str, suffixes: tuple[str, ...] = DATA_SUFFIXES) -> str:
    """Return the key of a file that is there and not empty."""
    try:
        key = storage.resolve(path, suffixes)
        if storage.size(key) == 0:
            raise RequestError(f"{field}: {path!r} is an empty file")
    except InvalidPath as error:
        raise RequestError(f"{field}: {error}") from None
    except FileMissing as error:
        raise NotFound(f"{field}: {error}") from None
    except StorageUnavailable as error:
        raise UpstreamDown(f"{field}: {error}") from error
    return key


def _model_detector(storage: Storage, path: str) -> type[Detector]:
    """Return the detector of a model file, which must be what its sidecar speaks of."""
    path = _check_file(storage, "model_path", path, (".pkl",))
    size = storage.size(path)
    try:
        with storage.open(f"{path}.json") as file:
            sidecar = file.read(CHECKED_BYTES)
    except (FileMissing, InvalidPath):  # the second is of a name so long that it has no room for .json
        raise RequestError(f"model_path: {path!r} has no {path.rpartition('/')[2]}.json beside it") from None
    if size > CHECKED_BYTES:
        return _detector("model_path", _told_detector(sidecar))
    with storage.open(path) as file:
        data = file.read()
    try:
        return _detector("model_path", check_model(data, sidecar, name=path)["detector"])
    except (ModelFileError, KeyError) as error:
        raise RequestError(f"model_path: {error}") from None


def _told_detector(sidecar: bytes) -> str:
    try:
        return str(orjson.loads(sidecar)["detector"])
    except (ValueError, KeyError, TypeError):
        raise RequestError("model_path: the file beside it is not a model's sidecar") from None
