"""The OpenAPI document of the gateway, the client API, the probes and the metrics."""

from collections.abc import Iterable
from typing import Any

from serving.proxy import client_answers as answers
from serving.proxy.bodies import NewClient, NewKey, VariationBody, Variations
from serving.proxy.openapi_operation import JSON, NAME, REF, TEXT, Operation, Schema, json_answer, operation_id

STICKY: Schema = {
    "type": "string",
    "maxLength": 256,
    "pattern": "^[ -~]*$",
    "description": "Requests with the same key get the same variation; also the header X-Inlier-Sticky.",
}
GIVEN: Schema = {**TEXT, "minLength": 1}
CALLBACK: Schema = {"type": "string", "pattern": "^[A-Za-z_$][A-Za-z0-9_$]{0,60}[0-9]$"}
ROW: Schema = {"type": "object", "minProperties": 1, "additionalProperties": {"type": ["number", "null"]}}
PREDICT: Schema = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {
            "anyOf": [ROW, {"type": "array", "minItems": 1, "items": ROW}],
            "description": "Features by name; or a list of such rows, all of the same features.",
            "examples": [{"f1": 2.1, "f2": 2.05, "f3": 1.95, "f4": 2.01}],
        }
    },
}


def _body(model: type[NewClient | NewKey | VariationBody | Variations]) -> Schema:
    schema = model.model_json_schema(ref_template=REF)
    schema.pop("$defs", None)
    return schema


def _bodies() -> dict[str, Any]:
    made = {model.__name__: _body(model) for model in (NewClient, NewKey, VariationBody, Variations)}
    made["NewClient"]["properties"]["name"] |= NAME
    made["VariationBody"]["properties"]["label"] |= NAME
    made["VariationBody"]["properties"]["url"]["examples"] = ["http://127.0.0.1:9000/predict"]
    made["Variations"]["description"] = (
        "All variations of a client: their ratios add up to 1, no label is there twice; an empty list "
        "takes all away. `moved` says which microservices have moved, old URL to new: other clients' variations follow "
        "in the same step."
    )
    return made


BODIES = _bodies()


def _gateway() -> Iterable[Operation]:
    predicted: dict[int, Schema] = {200: json_answer(answers.PredictionAnswer, "The prediction.")}
    failures = (413, 502, 504)
    javascript = {"application/javascript": {"schema": {"type": "string"}}}
    of_js = json_answer(answers.PredictionAnswer, "The prediction; as a call of the callback, if one is named.")
    of_js["content"] |= javascript
    query = {"consumer_key": GIVEN, "json": GIVEN, "jsonpCallback": CALLBACK, "sticky": STICKY}
    needed = ("consumer_key", "json")
    say = "Predict with a key of scope js."
    yield Operation("get", "/js/predict", say, {200: of_js}, failures, query=query, required=needed)
    pair = {"consumer_key": GIVEN, "consumer_secret": GIVEN}
    say = "Get a token for a key of scope all and its secret."
    token = {200: json_answer(answers.TokenAnswer)}
    yield Operation("get", "/token", say, token, query=pair, required=tuple(pair))
    yield Operation(
        "post",
        "/predict",
        "Predict with a token.",
        predicted,
        failures,
        body={JSON: {"schema": PREDICT}},
        query={"oauth_token": GIVEN, "sticky": STICKY},
        required=("oauth_token",),
    )


def _clients() -> Iterable[Operation]:
    one, keys, variations = "/clients/{name}", "/clients/{name}/keys", "/clients/{name}/variations"
    client = json_answer(answers.ClientAnswer)
    shares = {200: json_answer(answers.VariationsAnswer)}
    gone: dict[int, Schema] = {204: {"description": "It is gone, with what it had."}}

    def body(name: str) -> Schema:
        return {JSON: {"schema": {"$ref": REF.format(model=name)}}}

    ids = {"path.name": "$response.body#/name"}
    links = {
        "look": {"operationId": operation_id("get", one), "parameters": ids},
        "make_a_key": {"operationId": operation_id("post", keys), "parameters": ids},
        "share_out": {"operationId": operation_id("put", variations), "parameters": ids},
        "delete": {"operationId": operation_id("delete", one), "parameters": ids},
    }
    made = {201: json_answer(answers.ClientAnswer, "It was made.", links=links)}
    yield Operation("get", "/clients", "List clients.", {200: json_answer(answers.Clients)})
    yield Operation("post", "/clients", "Make a client.", made, (409, 413, 415), body=body("NewClient"))
    yield Operation("get", one, "Look at a client.", {200: client}, (404,))
    yield Operation("delete", one, "Delete a client.", gone, (404,))
    yield Operation("get", keys, "List a client's keys.", {200: json_answer(answers.Keys)}, (404,))
    new = {201: json_answer(answers.NewKeyAnswer, "It was made, and is shown this once.")}
    yield Operation("post", keys, "Make a key.", new, (404, 413, 415), body=body("NewKey"))
    yield Operation("delete", keys + "/{key_id}", "Delete a key.", gone, (404,))
    yield Operation("get", variations, "List a client's variations.", shares, (404,))
    say = "Replace a client's variations in one step."
    yield Operation("put", variations, say, shares, (404, 413, 415), body=body("Variations"))


def _probes() -> Iterable[Operation]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    ping: dict[int, Schema] = {200: {"description": "It answers.", "content": text}}
    metrics: dict[int, Schema] = {200: {"description": "In Prometheus' text format.", "content": text}}
    yield Operation("get", "/health/ping", "Whether the process answers.", ping)
    yield Operation("get", "/health/status", "Whether it can do its work.", {200: json_answer(answers.Health)})
    yield Operation("get", "/metrics", "Counts, latencies and gauges.", metrics)


def operations() -> list[Operation]:
    """Return what the document describes beside tasks, models and files."""
    return [*_gateway(), *_clients(), *_probes()]
