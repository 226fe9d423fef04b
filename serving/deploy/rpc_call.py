"""Calling a proxy's gRPC port, as ``seldon-cli rpc`` does."""

from typing import Any

import grpc

from serving.errors import CallError
from serving.protocols.wire import prediction_pb2 as pb
from serving.proxy.payload import prediction, read_rows
from serving.proxy.rpc_payload import read_reply, write_rows

METHOD = "/seldon.protos.Seldon/Predict"
SECONDS = 30.0
MAX_ROWS = 100_000


def predict(address: str, token: str, message: Any) -> dict[str, Any]:
    """Return a prediction over gRPC, in the form that /predict answers in.

    Parameters
    ----------
    address : str
        ``host:port``.
    token : str
        Of /token.
    message : object
        What /predict takes: ``{"data": {...}}``.

    Raises
    ------
    RequestError
        The message is not such a one.
    CallError
        With the message of the proxy.
    """
    rows = read_rows(message, MAX_ROWS)
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(
            METHOD,
            request_serializer=pb.SeldonMessage.SerializeToString,
            response_deserializer=pb.SeldonMessage.FromString,
        )
        try:
            reply = read_reply(call(write_rows(rows), timeout=SECONDS, metadata=(("oauth_token", token),)))
        except grpc.RpcError as error:
            raise CallError(_explain(error, address)) from error
        except ValueError as error:
            raise CallError(f"{address} answered with no prediction: {error}") from error
    tags = reply["meta"]["tags"]
    return prediction(reply, reply["meta"]["puid"], len(rows.values), tags.get("variation", ""), None)


def _explain(error: Any, address: str) -> str:
    if error.trailing_metadata():  # the proxy's own words
        return str(error.details())
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return f"no proxy answers over gRPC at {address}; INLIER_PROXY_GRPC_PORT gives it a port for that"
    return f"{address} answered with {error.code().name}: {error.details()}"
