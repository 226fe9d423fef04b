"""Answers: everything is JSON, errors too.

An error is ``{"error": {"code": "NOT_FOUND", "message": "there is no client 'x'"}}``; the code is a name to program
against, the message is for people and names the culprit.
"""

import logging
from typing import Any

import orjson
from flask import Flask, Response, request
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from serving.errors import BodyTooLarge, ProxyError, UpstreamDown

log = logging.getLogger(__name__)


def answer(content: Any, status: int = 200) -> Response:
    """Return content as a JSON response."""
    return Response(orjson.dumps(content), status, mimetype="application/json")


def error_body(code: str, message: str) -> dict[str, Any]:
    """Return what every error looks like."""
    return {"error": {"code": code, "message": message}}


def _own_error(error: ProxyError) -> Response:
    response = answer(error_body(error.reason, str(error)), error.status)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.status == 503:
        response.headers["Retry-After"] = "1"  # second: what is down may be back by then
    return response


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if isinstance(error, RequestEntityTooLarge):
        return _own_error(BodyTooLarge())
    message = {
        404: f"there is nothing at {request.path[:200]!r}",
        405: f"{request.path[:200]!r} does not take {request.method}",
    }.get(status, error.description or error.name)
    response = answer(error_body(error.name.upper().replace(" ", "_"), message), status)
    for name, value in error.get_headers(request.environ):
        if name in ("Allow", "Content-Range"):
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return answer(error_body("internal_error", "the proxy failed; its log says why"), 500)


def _database_error(error: OperationalError) -> Response:
    log.error("%s %s: %s", request.method, request.path, error)
    return _own_error(UpstreamDown("the database does not answer; try again"))


def register(app: Flask) -> None:
    """Let every error of the application be answered as JSON."""
    app.register_error_handler(ProxyError, _own_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(Exception, _unexpected)
