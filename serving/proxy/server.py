"""gunicorn with the settings of the proxy."""

import gc
import logging
from pathlib import Path
from typing import Any

import gunicorn.util
import orjson
from flask import Flask, Response
from gunicorn.app.base import BaseApplication
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected

from serving.deploy.addresses import cannot_listen
from serving.errors import SettingsError
from serving.proxy.access import refuse_everybody
from serving.proxy.answers import answer, error_body
from serving.proxy.app import PREDICTOR, create_app
from serving.proxy.listening import Silent, Worker
from serving.proxy.metrics import Parts, ProxyMetrics
from serving.proxy.rpc_front import RpcFront
from serving.resources import open_database
from serving.settings import HomeSettings, ProxySettings

GRACEFUL_SECONDS = 4  # the whole is to end within five
KEEPALIVE_SECONDS = 15


class Server(BaseApplication):
    """gunicorn without its own command line and files."""

    def __init__(self, host: str, port: int, settings: ProxySettings) -> None:
        self._bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._host = host
        self._settings = settings
        self._front: RpcFront | None = None
        self._parts = Parts(settings.workers)  # before the processes are forked, which share it
        self._metrics: ProxyMetrics | None = None
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults."""
        options = {
            "bind": self._bind,
            "workers": self._settings.workers,
            "threads": self._settings.threads,
            "worker_class": Worker,
            "keepalive": KEEPALIVE_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "limit_request_line": 0,  # up to 1 MB; the application has its own limit, with a JSON answer
            "proc_name": "inlier-proxy",
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108  # heartbeats off the disk
            "control_socket_disable": True,
            "pre_fork": self._before_fork,
            "post_fork": self._after_fork,
            "child_exit": self._after_exit,
            "worker_exit": self._before_exit,
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def _before_fork(self, arbiter: Any, worker: Any) -> None:  # noqa: ARG002  # gunicorn goes by their number
        worker.inlier_part = self._parts.take()

    def _after_fork(self, arbiter: Any, worker: Any) -> None:  # noqa: ARG002
        worker.patience = self._settings.silent_seconds
        if worker.inlier_part is None:
            logging.getLogger(__name__).error("more processes than expected: this one is not in /metrics")
        else:
            self._metrics = ProxyMetrics(self._parts.board, worker.inlier_part)

    def _after_exit(self, arbiter: Any, worker: Any) -> None:  # noqa: ARG002
        if worker.inlier_part is not None:
            self._parts.give_back(worker.inlier_part)

    def _before_exit(self, arbiter: Any, worker: Any) -> None:  # noqa: ARG002
        if self._front is not None:
            self._front.stop(GRACEFUL_SECONDS)

    def load(self) -> Flask:
        """Return the application, one a process, and begin to listen for gRPC: a server does not survive a fork."""
        app = create_app(self._settings, proxy_metrics=self._metrics)
        if self._settings.grpc_port is not None:
            self._front = RpcFront(app.extensions[PREDICTOR], self._settings.threads, self._settings.max_body_bytes)
            self._front.start(self._host, self._settings.grpc_port)
        app.register_error_handler(ParseException, _broken_body)
        app.register_error_handler(ClientDisconnected, _missing_body)
        gc.freeze()  # what stays until the end is walked through neither by requests nor at the end
        return app


def _broken_body(error: ParseException) -> Response:
    """Answer a body whose chunks are none: gunicorn finds out while the application reads it."""
    return answer(error_body("BAD_REQUEST", f"the body cannot be read: {error}"), 400)


def _missing_body(error: ClientDisconnected) -> Response:
    """Answer a body that does not come: its client may be there, and silent."""
    if isinstance(error.__context__, Silent):
        return answer(error_body("REQUEST_TIMEOUT", "the body does not arrive"), 408)
    return answer(error_body("BAD_REQUEST", "the body broke off"), 400)


def _write_json_error(sock: Any, status: int, reason: str, message: str) -> None:
    """Answer what is not HTTP as everything else is answered: gunicorn has no hook for it and says it in HTML."""
    body = orjson.dumps(error_body(reason.upper().replace(" ", "_"), message))
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    gunicorn.util.write_nonblock(sock, head.encode("latin-1") + body)


def serve(host: str, port: int) -> None:
    """Run the proxy until it is told to stop.

    Raises
    ------
    SettingsError
        When everybody could do everything and nobody said so, or the port for gRPC cannot be listened on.
    DeployError
        When the database's URL is none: its processes would find out one by one, and end, and be started again.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    gunicorn.util.write_error = _write_json_error
    settings = ProxySettings()
    refuse_everybody(host, settings)
    open_database(HomeSettings(), settings).close()
    if settings.grpc_port is not None and (problem := cannot_listen(host, settings.grpc_port)):
        # The processes share the port; find out before whether somebody else has it
        raise SettingsError(f"INLIER_PROXY_GRPC_PORT: {problem}")
    Server(host, port, settings).run()
