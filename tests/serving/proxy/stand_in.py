"""A microservice as a process, to be killed: ``python -m tests.serving.proxy.stand_in {rest,rpc} PORT``.

After a SIGUSR1 it answers with errors, after a SIGSTOP it takes connections and says nothing.
"""

import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

from tests.serving.proxy.fake_microservice import FakeRpcMicroservice, sum_message

REPLY = b'{"data": {"names": ["Anomaly_score", "Complementary_score"], "ndarray": [[0.25, 0.75]]}}'


class StandIn:
    """A running one."""

    def __init__(self, kind: str, port: int) -> None:
        self.kind, self.port = kind, port
        self.url = f"http://127.0.0.1:{port}/predict" if kind == "rest" else f"grpc://127.0.0.1:{port}"
        self.start()

    def start(self) -> None:
        """Start it, again too, and wait until it listens."""
        command = [sys.executable, "-m", "tests.serving.proxy.stand_in", self.kind, str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def signal(self, number: int) -> None:
        """Send it a signal; after SIGKILL it has gone."""
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.close()

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def serve(kind: str, port: int) -> None:
    """Answer until the process is killed."""
    failing = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: failing.set())
    if kind == "rpc":

        def reply(message: Any, context: grpc.ServicerContext) -> Any:
            if failing.is_set():
                context.abort(grpc.StatusCode.INTERNAL, "broken")
            return sum_message(message)

        FakeRpcMicroservice(reply, port)
    else:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(500 if failing.is_set() else 200)
                self.send_header("Content-Length", str(len(REPLY)))
                self.end_headers()
                self.wfile.write(REPLY)

            def log_message(self, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
