"""Reading requests strictly: what is missing, twice, too long or not JSON is a 400 that says so."""

from typing import Any

import orjson
from flask import current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from serving.errors import BodyTooLarge, RequestError, UnsupportedContent

EXCERPT = 20


def parameter(name: str, *, required: bool = True) -> str | None:
    """Return a parameter of the query string."""
    values = request.args.getlist(name)
    if len(values) > 1:
        raise RequestError(f"the parameter {name!r} is given {len(values)} times")
    if not values or not values[0]:
        if required:
            raise RequestError(f"the parameter {name!r} is missing")
        return None
    if "\0" in values[0]:
        raise RequestError(f"the parameter {name!r} holds a NUL character")
    return values[0]


def required_parameter(name: str) -> str:
    """Return a parameter of the query string that must be there."""
    value = parameter(name)
    assert value is not None  # noqa: S101  # parameter() has raised
    return value


def refuse_other_parameters(*known: str) -> None:
    """Refuse parameters that no one will read: a misspelt one would be ignored in silence."""
    for name in request.args:
        if name not in known:
            raise RequestError(f"unknown parameter {name[:80]!r}; known are {', '.join(known) or 'none'}")


def optional_parameter(name: str) -> str | None:
    """Return a parameter of the query string that may be left out, but not be empty."""
    if request.args.get(name) == "":
        raise RequestError(f"the parameter {name!r} is empty")
    return parameter(name, required=False)


def number(name: str, default: int, most: int) -> int:
    """Return a whole number of the query string, from 0 to ``most``."""
    text = optional_parameter(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
        raise RequestError(f"the parameter {name!r} is {text[:80]!r}; it should be a number from 0 to {most}")
    return int(text)


def parse_json(text: str | bytes, what: str) -> Any:
    """Return what a JSON text says; ``what`` names it in the error."""
    if not text.strip():
        raise RequestError(f"{what} is empty; it should be JSON")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"{what} is not JSON: {error.msg} at {_near(text, error.pos)}") from None


def _near(text: str | bytes, position: int) -> str:
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"character {position} ({shown[position : position + EXCERPT]!r})"


def json_body(*, any_type: bool = False) -> Any:
    """Return the JSON body of the request; other content types are refused (a browser's form cannot send JSON).

    Parameters
    ----------
    any_type : bool, default=False
        Take it whatever its type is said to be: for what a key or token protects.
    """
    if not (any_type or request.is_json):
        raise UnsupportedContent(f"the body should be application/json, not {request.mimetype[:80] or 'nothing'}")
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    request.max_content_length = limit + 1  # of a chunked body werkzeug reads so much, and stops
    try:
        body = request.get_data(cache=False)
        check_length(len(body), limit)
    except RequestEntityTooLarge:
        raise BodyTooLarge(f"the body is larger than {limit} bytes") from None
    return parse_json(body, "the body")


def check_length(received: int, most: int) -> None:
    """Refuse a body that is too large, or that broke off: where the client has gone, gunicorn just ends the stream."""
    if received > most:
        raise RequestEntityTooLarge
    if request.content_length not in (None, received):
        raise RequestError(f"the body broke off: {received} bytes came of {request.content_length}")
