"""One operation of the OpenAPI document, and what many of them share."""

import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from serving.proxy import task_answers as answers
from serving.proxy.bodies import DNS_LABEL
from serving.proxy.task_bodies import PATH_PATTERN

Schema = dict[str, Any]

REF = "#/components/schemas/{model}"
JSON = "application/json"
UUID: Schema = {"type": "string", "format": "uuid"}
PATH: Schema = {"type": "string", "minLength": 1, "pattern": PATH_PATTERN}
PATH_OR_NONE: Schema = {"type": "string", "pattern": f"({PATH_PATTERN})|^$"}
TEXT: Schema = {"type": "string", "pattern": r"^[^\u0000]*$"}
BYTES: Schema = {"type": "string", "format": "binary"}
NAME: Schema = {"type": "string", "pattern": f"^{DNS_LABEL.pattern}$", "examples": ["test"]}
PATH_PARAMETERS = {"name": NAME, "key_id": {"type": "integer", "minimum": 0}}
ERRORS = {
    400: "Something about the request is wrong; the message names it.",
    401: "A key is needed, or this one is not known.",
    403: "This key may not do that, or the host name is not one that the proxy answers to.",
    404: "There is no such thing.",
    408: "The body does not arrive.",
    409: "It is in another state than this needs.",
    413: "The body is larger than the limit.",
    414: "The query string is longer than the limit.",
    415: "The body is not JSON.",
    416: "The file is shorter than that.",
    429: "As many tasks wait or run as may.",
    502: "A microservice answered with an error, or with what is no prediction.",
    503: "The database, the storage or a microservice does not answer; try again.",
    504: "A microservice did not answer in time.",
}
ALWAYS = (400, 401, 403, 414, 503)
WITH_BODY = (408,)


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    answers: dict[int, Schema]
    errors: tuple[int, ...] = ()
    body: Schema | None = None
    query: dict[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    body_required: bool = True

    def document(self) -> Schema:
        """Return what the document says of it."""
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": _path_schema(name)} for name in _names(self.path)
        ]
        parameters += [
            {"name": name, "in": "query", "required": name in self.required, "schema": schema}
            for name, schema in self.query.items()
        ]
        errors = {*self.errors, *ALWAYS, *(() if self.body is None else WITH_BODY)}
        said: Schema = {
            "summary": self.summary,
            "operationId": operation_id(self.method, self.path),
            "tags": [self.path.split("/")[1]],
            "responses": {str(status): content for status, content in self.answers.items()}
            | {str(status): _error(status) for status in sorted(errors)},
        }
        if parameters:
            said["parameters"] = parameters
        if self.body is not None:
            said["requestBody"] = {"required": self.body_required, "content": self.body}
        return said


def _path_schema(name: str) -> Schema:
    return PATH_PARAMETERS.get(name, UUID if name.endswith("_id") else PATH)


def operation_id(method: str, path: str) -> str:
    """Return the name by which links call an operation."""
    words = [method, *(part for part in re.split(r"[^a-z_]+", path) if part)]
    return "_".join(words)


def _names(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _error(status: int) -> Schema:
    return json_answer(answers.Error, ERRORS[status])


def json_answer(model: type[BaseModel], description: str = "Done.", **more: Schema) -> Schema:
    """Return an answer of JSON."""
    content = {JSON: {"schema": {"$ref": REF.format(model=model.__name__)}}}
    return {"description": description, "content": content, **more}


def page(**more: Schema) -> dict[str, Schema]:
    """Return the parameters of a list that is shown in pages."""
    return {"limit": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 100}, **more}
