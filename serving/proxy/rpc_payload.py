"""Rows and predictions as Seldon's protobuf messages, and back. Pure functions."""

import math
from typing import Any

import numpy as np

from serving.errors import RequestError
from serving.protocols import seldon_proto
from serving.protocols.wire import prediction_pb2 as pb
from serving.proxy.payload import Rows


def write_rows(rows: Rows, puid: str = "") -> pb.SeldonMessage:
    """Return what a microservice is asked: a tensor where all is numbers, 10-25 times cheaper than an ndarray."""
    if all(type(value) is float or type(value) is int for row in rows.values for value in row):
        return seldon_proto.encode("tensor", np.array(rows.values, np.float64), rows.names, {"puid": puid})
    return seldon_proto.encode("ndarray", np.array(rows.values, object), rows.names, {"puid": puid})


def read_reply(reply: pb.SeldonMessage) -> dict[str, Any]:
    """Return a microservice's answer as its JSON.

    Raises
    ------
    ValueError
        It holds neither tensor nor ndarray.
    """
    data, kind = reply.data, reply.data.WhichOneof("data_oneof")
    if kind is None:
        raise ValueError("it has neither tensor nor ndarray")
    content: Any = {"shape": list(data.tensor.shape), "values": list(data.tensor.values)}
    if kind == "ndarray":
        content = [seldon_proto.plain(value) for value in data.ndarray.values]
    tags = {name: seldon_proto.plain(value) for name, value in reply.meta.tags.items()}
    return {"meta": {"puid": reply.meta.puid, "tags": tags}, "data": {"names": list(data.names), kind: content}}


def read_request(message: pb.SeldonMessage) -> Any:
    """Return a client's message as the JSON that REST takes: ``{"data": [{name: value, ...}, ...]}``.

    Raises
    ------
    RequestError
        Naming what is wrong with names or shape.
    """
    kind = message.WhichOneof("data_oneof")
    if kind == "jsonData":
        return seldon_proto.plain(message.jsonData)
    if kind != "data":
        raise RequestError("the message should hold data (names and tensor or ndarray) or jsonData")
    names, rows = list(message.data.names), _rows(message.data)
    if len(set(names)) != len(names):
        raise RequestError("data.names names a feature twice")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(row) != len(names):
            width = len(row) if isinstance(row, list) else "no"
            raise RequestError(f"row {number} of data has {width} values for the {len(names)} data.names")
    return {"data": [dict(zip(names, row, strict=True)) for row in rows]}


def _rows(data: pb.DefaultData) -> list[Any]:
    kind = data.WhichOneof("data_oneof")
    if kind == "ndarray":
        return [seldon_proto.plain(value) for value in data.ndarray.values]
    if kind != "tensor":
        raise RequestError("data has neither tensor nor ndarray")
    shape, values = list(data.tensor.shape), list(data.tensor.values)
    # Rows without columns have no values that the limit on a message would count
    if len(shape) != 2 or min(shape) < 1 or math.prod(shape) != len(values):
        raise RequestError(f"data.tensor: {len(values)} values do not fill rows and columns of shape {shape}")
    return [values[row * shape[1] : (row + 1) * shape[1]] for row in range(shape[0])]


def write_answer(answer: dict[str, Any], kind: str) -> pb.SeldonMessage:
    """Return the gateway's answer as a message whose data is of the kind of the request's."""
    rows = answer.get("rows") or [answer["predictions"]]
    names = [str(entry["predictedClass"]) for entry in rows[0]]
    scores = np.array([[entry["prediction"] for entry in row] for row in rows], np.float64)
    tags = {"variation": answer["meta"]["variation"], "model_name": answer["meta"]["modelName"]}
    return seldon_proto.encode(
        kind, scores, names, {"puid": answer["meta"]["puid"], "tags": tags | (answer["custom"] or {})}
    )
