"""The API of the seed: /js/predict, /token and /predict.

====================  ==========================================  ==============================================
GET /js/predict       ``?consumer_key&json[&jsonpCallback]``      the prediction, ``callback({...})`` if one is given
GET /token            ``?consumer_key&consumer_secret``           ``{"access_token": ...}``
POST /predict         ``?oauth_token``, JSON body                 the prediction
====================  ==========================================  ==============================================

Predictions with the same key, the header ``X-Inlier-Sticky`` or the parameter ``sticky``, get the same variation.
"""

from typing import Any

import orjson
from flask import Blueprint, Response, request

from serving.errors import RequestError
from serving.proxy import store
from serving.proxy.answers import answer
from serving.proxy.database import Database
from serving.proxy.predictor import Predictor, check_key
from serving.proxy.requests import json_body, parameter, parse_json, refuse_other_parameters, required_parameter

STICKY = "sticky"
STICKY_HEADER = "X-Inlier-Sticky"
CALLBACK_LENGTH = 128
RESERVED = frozenset(
    {
        "await",
        "break",
        "case",
        "catch",
        "class",
        "const",
        "continue",
        "debugger",
        "default",
        "delete",
        "do",
        "else",
        "enum",
        "export",
        "extends",
        "false",
        "finally",
        "for",
        "function",
        "if",
        "implements",
        "import",
        "in",
        "instanceof",
        "interface",
        "let",
        "new",
        "null",
        "package",
        "private",
        "protected",
        "public",
        "return",
        "static",
        "super",
        "switch",
        "this",
        "throw",
        "true",
        "try",
        "typeof",
        "var",
        "void",
        "while",
        "with",
        "yield",
    }
)


def is_identifier(name: str) -> bool:
    """Tell whether a text is a JavaScript identifier.

    Examples
    --------
    >>> is_identifier("$cb_1"), is_identifier("alert(1)//"), is_identifier("if")
    (True, False, False)
    """
    # Python's identifiers are JavaScript's but for the dollar sign and the reserved words
    return len(name) <= CALLBACK_LENGTH and name.replace("$", "_").isidentifier() and name not in RESERVED


def sticky_key() -> bytes | None:
    """Return the key of the request whose variation should stay the same: of the header or the parameter."""
    header, text = request.headers.get(STICKY_HEADER), parameter(STICKY, required=False)
    keys = {key for key in (header and header.encode("latin-1"), text and text.encode()) if key}
    if len(keys) > 1:
        raise RequestError(f"the header {STICKY_HEADER} and the parameter {STICKY!r} differ; one is enough")
    return check_key(keys.pop() if keys else None)


def blueprint(database: Database, predictor: Predictor, token_seconds: int) -> Blueprint:
    """Return the gateway."""
    routes = Blueprint("gateway", __name__)

    @routes.get("/js/predict")
    def js_predict() -> Response:
        """Predict for a key of scope js."""
        with predictor.watch() as attempt:
            refuse_other_parameters("consumer_key", "json", "jsonpCallback", STICKY, "_")  # _: jQuery's, against caches
            callback = parameter("jsonpCallback", required=False)
            if callback is not None and not is_identifier(callback):
                raise RequestError(f"the jsonpCallback {callback[:80]!r} is not a JavaScript identifier")
            consumer_key = required_parameter("consumer_key")
            attempt.key = sticky_key()
            content = predictor.predict(
                attempt,
                lambda database: store.routes_by_key(database, consumer_key),
                lambda: parse_json(required_parameter("json"), "the parameter 'json'"),
            )
        if callback is None:
            return answer(content)
        return Response(f"{callback}({_script(content)})", mimetype="application/javascript")

    @routes.get("/token")
    def token() -> Response:
        """Give a token for a key of scope all and its secret."""
        refuse_other_parameters("consumer_key", "consumer_secret")
        key, secret = required_parameter("consumer_key"), required_parameter("consumer_secret")
        with database.writing() as session:
            access_token = store.add_token(session, key, secret, token_seconds)
        response = answer({"access_token": access_token, "token_type": "bearer", "expires_in": token_seconds})
        response.headers["Cache-Control"] = "no-store"
        return response

    @routes.post("/predict")
    def post_predict() -> Response:
        """Predict for a token."""
        with predictor.watch() as attempt:
            refuse_other_parameters("oauth_token", STICKY)
            oauth_token = required_parameter("oauth_token")
            attempt.key = sticky_key()
            return answer(
                predictor.predict(attempt, lambda database: store.routes_by_token(database, oauth_token), _any_json)
            )

    return routes


def _any_json() -> Any:
    return json_body(any_type=True)


def _script(content: dict[str, Any]) -> str:
    """Return JSON that is also JavaScript and stays harmless inside a page."""
    text = orjson.dumps(content).decode()
    for character in "<\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
