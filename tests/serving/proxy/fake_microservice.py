"""A microservice for tests: real sockets, and it does what a test tells it to."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf import json_format

from serving.protocols.wire import prediction_pb2 as pb

Reply = tuple[int, Any]
RpcReply = Callable[[pb.SeldonMessage, grpc.ServicerContext], pb.SeldonMessage]


def sum_scores(message: dict[str, Any]) -> Reply:
    """Answer like a Seldon microservice; the score is made of the sum of the row."""
    scores = [[1 / (1 + sum(row)), 1 - 1 / (1 + sum(row))] for row in message["data"]["ndarray"]]
    return 200, {
        "meta": {"puid": message["meta"]["puid"], "tags": {"model_name": "model_sum"}},
        "data": {"names": ["Anomaly_score", "Complementary_score"], "ndarray": scores},
    }


class FakeMicroservice:
    """Listens on a free port until it is closed; keeps what it was asked."""

    def __init__(self, reply: Callable[[dict[str, Any]], Reply] = sum_scores) -> None:
        self.reply = reply
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(message)
                status, content = outer.reply(message)
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                if status == 0:  # cut the connection
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/predict"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class FakeRpcMicroservice:
    """The same over gRPC; ``reply`` is given the message and the context, and ``asked`` are messages."""

    def __init__(self, reply: RpcReply | None = None, port: int = 0) -> None:
        self.reply = reply or (lambda message, _: sum_message(message))
        self.asked: list[pb.SeldonMessage] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(
            self._predict,
            request_deserializer=pb.SeldonMessage.FromString,
            response_serializer=pb.SeldonMessage.SerializeToString,
        )
        service = grpc.method_handlers_generic_handler("seldon.protos.Model", {"Predict": handler})
        self._server.add_generic_rpc_handlers((service,))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.url = f"grpc://127.0.0.1:{self.port}"
        self._server.start()

    def _predict(self, message: pb.SeldonMessage, context: grpc.ServicerContext) -> pb.SeldonMessage:
        self.asked.append(message)
        return self.reply(message, context)

    def close(self) -> None:
        self._server.stop(0).wait()


def sum_message(message: pb.SeldonMessage) -> pb.SeldonMessage:
    """Answer like ``sum_scores``, a tensor for a tensor."""
    data = json_format.MessageToDict(message)["data"]
    if "tensor" in data:
        n, width = data["tensor"]["shape"]
        values = data["tensor"]["values"]
        rows = [values[row * width : (row + 1) * width] for row in range(n)]
    else:
        rows = data["ndarray"]
    numbers = [[value for value in row if isinstance(value, float)] for row in rows]
    scores = [[1 / (1 + sum(row)), 1 - 1 / (1 + sum(row))] for row in numbers]
    reply = pb.SeldonMessage()
    reply.meta.puid = message.meta.puid
    reply.meta.tags["model_name"].string_value = "model_sum"
    reply.data.names.extend(["Anomaly_score", "Complementary_score"])
    if "tensor" in data:
        reply.data.tensor.shape.extend([len(scores), 2])
        reply.data.tensor.values.extend(value for row in scores for value in row)
    else:
        json_format.ParseDict(scores, reply.data.ndarray)
    return reply
