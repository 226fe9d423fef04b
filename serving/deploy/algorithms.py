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
NEEDED = {REST: (URL,), RPC: (HOST, PORT)}


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
    if not variations:
        raise CallError('"variations" is empty; --action delete takes all variations from a client')
    return [_read(number, variation) for number, variation in enumerate(variations, 1)]


def _read(number: int, variation: Any) -> dict[str, Any]:
    where = f"variation {number}"
    try:
        label, ratio = variation["label"], float(variation["ratio"])
        (algorithm,) = variation["config"]["algorithms"]
        name, config = algorithm["name"], {item["name"]: item["value"] for item in algorithm["config"]}
    except (KeyError, TypeError, ValueError) as error:
        raise CallError(f"{where} has not got label, ratio and a config of one algorithm: {error!r}") from None
    if not isinstance(name, str) or name not in NEEDED:
        raise CallError(f"{where}: unknown algorithm {name!r}; known are {REST} and {RPC}")
    for item in NEEDED[name]:
        if item not in config:
            raise CallError(f"{where}: {item} is missing")
    place = {"kind": "rpc", "url": _grpc_url(where, config)} if name == RPC else {"kind": "rest", "url": config[URL]}
    return {"label": label, "ratio": ratio, **place} | ({"model_name": config[NAME]} if NAME in config else {})


def _grpc_url(where: str, config: dict[str, Any]) -> str:
    host, port = str(config[HOST]), str(config[PORT])  # the port is a number or text
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise CallError(f"{where}: {PORT} is {port[:80]!r}; it should be a port")
    return f"grpc://[{host}]:{port}" if ":" in host else f"grpc://{host}:{port}"


def to_algorithms(variations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the original's JSON of the proxy's variations."""
    return {"variations": [_write(variation) for variation in variations]}


def _write(variation: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any]
    if variation["kind"] == "rpc":
        parts = urlsplit(variation["url"])
        name, config = RPC, {HOST: parts.hostname, PORT: parts.port}
    else:
        name, config = REST, {URL: variation["url"]}
    if variation.get("model_name"):
        config[NAME] = variation["model_name"]
    items = [{"name": key, "value": value} for key, value in config.items()]
    algorithms = [{"name": name, "config": items}]
    return {"config": {"algorithms": algorithms}, "label": variation["label"], "ratio": variation["ratio"]}
