"""The original's JSON of variations, ``seldon-cli predict_alg -f``, to the proxy's and back."""

from typing import Any
from urllib.parse import urlsplit

import orjson

from serving.errors import CallError

REST = "externalPredictionServer"
RPC = "rpcPredictionServer"
URL = "io.seldon.algorithm.external.url"
NAME = "io.seldon.algorithm.external.name"
HOST = "io.seldon.rpc.microservice.host"
PORT = "io.seldon.rpc.microservice.port"


def from_algorithms(text: bytes) -> list[dict[str, Any]]:
    """Return the proxy's variations of the original's JSON.

    Raises
    ------
    CallError
        Naming the variation that cannot be read.
    """
    try:
        variations = orjson.loads(text)["variations"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise CallError(f'the file is not {{"variations": [...]}}: {error}') from None
    if not isinstance(variations, list):
        raise CallError('"variations" should be a list')
    return [_read(number, variation) for number, variation in enumerate(variations, 1)]


def _read(number: int, variation: Any) -> dict[str, Any]:
    where = f"variation {number}"
    try:
        label, ratio = variation["label"], float(variation["ratio"])
        (algorithm,) = variation["config"]["algorithms"]
        name, config = algorithm["name"], {item["name"]: item["value"] for item in algorithm["config"]}
    except (KeyError, TypeError, ValueError) as error:
        raise CallError(f"{where} has not got label, ratio and a config of one algorithm: {error!r}") from None
    if name == RPC:
        raise CallError(f"{where}: this version calls microservices by REST only, not by {RPC}")
    if name != REST:
        raise CallError(f"{where}: unknown algorithm {name!r}; known are {REST} and {RPC}")
    if URL not in config:
        raise CallError(f"{where}: {URL} is missing")
    read = {"label": label, "ratio": ratio, "kind": "rest", "url": config[URL]}
    return read | ({"model_name": config[NAME]} if NAME in config else {})


def to_algorithms(variations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the original's JSON of the proxy's variations."""
    return {"variations": [_write(variation) for variation in variations]}


def _write(variation: dict[str, Any]) -> dict[str, Any]:
    if variation["kind"] == "rpc":
        parts = urlsplit(variation["url"])
        name, config = RPC, {HOST: parts.hostname, PORT: parts.port}
    else:
        name, config = REST, {URL: variation["url"]}
        if variation["model_name"]:
            config[NAME] = variation["model_name"]
    items = [{"name": key, "value": value} for key, value in config.items()]
    algorithms = [{"name": name, "config": items}]
    return {"config": {"algorithms": algorithms}, "label": variation["label"], "ratio": variation["ratio"]}
