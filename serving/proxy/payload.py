"""The seed's prediction format: named features in, predictions of named classes out. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serving.errors import BodyTooLarge, RequestError, UpstreamFault

TIME = "Time"  # the one feature that may be text: the stamp of a row of a series
SHOWN_NAMES = 5


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in columns: the names once, then the values of each row in that order."""

    names: list[str]
    values: list[list[Any]]


def read_rows(message: Any, max_rows: int) -> Rows:
    """Return the rows of ``{"data": {name: value, ...}}`` or ``{"data": [{...}, ...]}``.

    Raises
    ------
    RequestError
        Naming the row and the feature that cannot be used.
    """
    if not isinstance(message, dict) or "data" not in message:
        raise RequestError('the JSON should be {"data": {feature name: number, ...}}; "data" is missing')
    for name in message:
        if name != "data":
            raise RequestError(f'unknown field {name[:80]!r} beside "data"')
    data = message["data"]
    rows = [data] if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise RequestError(
            f'"data" should be an object of named features, or a list of such objects, not {_kind(data)}'
        )
    if not rows:
        raise RequestError('"data" holds no rows')
    if len(rows) > max_rows:
        raise BodyTooLarge(f'"data" holds {len(rows)} rows; {max_rows} are allowed')
    if not isinstance(rows[0], dict) or not rows[0]:
        raise RequestError(f'row 1 of "data" should be an object of named features, not {_kind(rows[0])}')
    names = list(rows[0])
    return Rows(names, [_read_row(number, row, names) for number, row in enumerate(rows, 1)])


def _read_row(number: int, row: Any, names: list[str]) -> list[Any]:
    if not isinstance(row, dict):
        raise RequestError(f'row {number} of "data" should be an object of named features, not {_kind(row)}')
    if row.keys() != set(names):
        missing = [name for name in names if name not in row]
        unknown = [name for name in row if name not in set(names)]
        what = " and ".join(
            f"{verb} {_some(which)}" for verb, which in (("lacks", missing), ("adds", unknown)) if which
        )
        raise RequestError(f"row {number} {what}: every row should have the features of row 1")
    values = [row[name] for name in names]
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        # null goes on: a series may miss a value, and the model says so if it may not
        if _is_number(value) or value is None or (name == TIME and isinstance(value, str)):
            continue
        if not isinstance(value, float) or math.isinf(value):
            raise RequestError(f"row {number}, feature {name[:80]!r}: it should be a number, not {_kind(value)}")
        values[place] = None  # NaN, which protobuf has beside null
    return values


def _is_number(value: Any) -> bool:
    if type(value) is float:
        return math.isfinite(value)  # protobuf takes others too
    return type(value) is int  # bool is an int to Python


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES} more"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "an object" if value else "an empty object"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "an infinite value"
    return f"the number {value}"


def seldon_message(rows: Rows, puid: str) -> dict[str, Any]:
    """Return what a Seldon microservice is asked."""
    return {"meta": {"puid": puid}, "data": {"names": rows.names, "ndarray": rows.values}}


def prediction(reply: Any, puid: str, n_rows: int, variation: str, model_name: str | None) -> dict[str, Any]:
    """Return the seed's answer, made of a microservice's.

    Raises
    ------
    UpstreamFault
        When the microservice's answer is not a prediction for each row.
    """
    try:
        classes, scores = reply["data"]["names"], _matrix(reply["data"], n_rows)
        predictions = [[_entry(name, value) for name, value in zip(classes, row, strict=True)] for row in scores]
        served, silent = _tags(reply.get("meta", {}).get("tags", {}))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UpstreamFault(f"variation {variation!r} answered with no prediction: {error!r}") from error
    answer: dict[str, Any] = {
        "meta": {"puid": puid, "modelName": served or model_name or f"model_{variation}", "variation": variation},
        "predictions": predictions[0],
        "custom": None,
    }
    if silent:  # of rows whose values are missing nothing can be said: their score is no verdict
        answer["custom"] = {"no_verdict": silent}
    if n_rows > 1:
        answer["rows"] = predictions
    return answer


def _matrix(data: dict[str, Any], n_rows: int) -> list[list[Any]]:
    if "tensor" in data:
        (rows, width), values = data["tensor"]["shape"], data["tensor"]["values"]
    else:
        matrix = data["ndarray"]
        rows = len(matrix)
    if rows != n_rows:  # before as many are made as it says
        raise ValueError(f"{rows} rows for {n_rows}")
    return [values[row * width : (row + 1) * width] for row in range(rows)] if "tensor" in data else matrix


def _tags(tags: dict[str, Any]) -> tuple[str | None, list[Any]]:
    """Return the model's name and the rows without a verdict."""
    served, silent = tags.get("model_name"), tags.get("no_verdict") or []
    if served is not None and not isinstance(served, str):
        raise TypeError(f"{_kind(served)} where the model's name should be")
    if not isinstance(silent, list) or not all(_is_number(row) for row in silent):
        raise TypeError(f"{_kind(silent)} where the rows without a verdict should be")
    return served, silent


def _entry(name: Any, value: Any) -> dict[str, Any]:
    if not isinstance(name, str):
        raise TypeError(f"{_kind(name)} where a class's name should be")
    if not _is_number(value):
        raise TypeError(f"{_kind(value)} where a number should be")
    return {"prediction": value, "predictedClass": name, "confidence": value}
