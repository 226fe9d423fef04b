"""The gateway's gRPC port: ``seldon.protos.Seldon/Predict``, as /predict with the token in the metadata.

============================ ======================================================================================
metadata ``oauth_token``     what /token gave for a key of scope all
metadata ``x-inlier-sticky`` as the header of that name
request                      ``data`` with names and tensor or ndarray, or ``jsonData`` with the JSON of /predict
answer                       classes as names, a row of scores for each row; meta: puid, tags variation, model_name
============================ ======================================================================================

Each process of the proxy has a server of its own on the one port; the system shares connections out among them.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from sqlalchemy.exc import OperationalError

from serving.errors import NotRecognised, ProxyError, SettingsError
from serving.protocols.wire import prediction_pb2 as pb
from serving.proxy import store
from serving.proxy.predictor import Predictor, check_key
from serving.proxy.rpc_payload import read_request, write_answer
from serving.proxy.upstream_rpc import STATUS

log = logging.getLogger(__name__)

SERVICE = "seldon.protos.Seldon"
TOKEN = "oauth_token"  # noqa: S105
STICKY = "x-inlier-sticky"
WAITING = 128
"""Calls of a process that may wait for a thread; more are refused, or who has no token yet could pile them up."""
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class RpcFront:
    """A gRPC server of one process.

    Parameters
    ----------
    predictor : Predictor
        Of that process.
    threads : int
        Predictions that run at once.
    max_bytes : int
        Of a message.
    """

    def __init__(self, predictor: Predictor, threads: int, max_bytes: int) -> None:
        self._predictor = predictor
        options = [("grpc.max_receive_message_length", max_bytes), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(
            ThreadPoolExecutor(threads), options=options, maximum_concurrent_rpcs=threads + WAITING
        )
        handler = grpc.unary_unary_rpc_method_handler(
            self._predict,
            request_deserializer=pb.SeldonMessage.FromString,
            response_serializer=pb.SeldonMessage.SerializeToString,
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Predict": handler}),))

    def start(self, host: str, port: int) -> int:
        """Listen and return the port."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise SettingsError(f"INLIER_PROXY_GRPC_PORT: cannot listen on {address} for gRPC") from error
        self._server.start()
        return int(bound)

    def stop(self, seconds: float) -> None:
        """Take no more calls, and wait for those under way as long as that."""
        self._server.stop(seconds).wait()

    def _predict(self, message: pb.SeldonMessage, context: grpc.ServicerContext) -> pb.SeldonMessage:
        try:
            return self._answer(message, dict(context.invocation_metadata()))
        except ProxyError as error:
            status, said = error.status, str(error)
        except OperationalError as error:
            log.error("Predict: %s", error)  # noqa: TRY400  # what the database says is enough
            status, said = 503, "the database does not answer; try again"
        except Exception:
            log.exception("Predict failed")
            status, said = 500, "the proxy failed; its log says why"
        context.set_trailing_metadata(((STATUS, str(status)),))
        context.abort(CODES.get(status, grpc.StatusCode.INTERNAL), said)
        raise AssertionError("abort raises")

    def _answer(self, message: pb.SeldonMessage, metadata: dict[str, Any]) -> pb.SeldonMessage:
        with self._predictor.watch() as attempt:
            token = metadata.get(TOKEN)
            if not token:
                raise NotRecognised(f"the metadata {TOKEN!r} is missing; /token gives one")
            attempt.key = check_key(metadata.get(STICKY, "").encode())
            answer = self._predictor.predict(
                attempt,
                lambda database: store.routes_by_token(database, token),
                lambda: read_request(message),
            )
            return write_answer(answer, message.data.WhichOneof("data_oneof") or "tensor")
