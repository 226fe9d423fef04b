"""A microservice for tests: real sockets, and it does what a test tells it to."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, Any]


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
