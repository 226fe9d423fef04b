"""``inlier serve``: one model behind every protocol."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from detectors.errors import InlierError
from serving.microservice.starting import uncollected

if TYPE_CHECKING:
    from serving.settings import MicroserviceSettings


@click.command()
@click.argument("model", required=False)
@click.option("--host", "serve_host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port", "serve_port", type=click.IntRange(0, 65535), help="Port for REST; 0 takes a free one.  [default: 9000]"
)
@click.option("--grpc-port", type=click.IntRange(0, 65535), help="Port for gRPC; without it there is none.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="A second port for metrics.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that answer requests.  [default: 1]")
@click.option("--parameters", help="JSON list of name, value and type: what a class is built with.")
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    help="[default: INFO]",
)
def serve(model: str | None, **options: Any) -> None:
    """Serve MODEL: a model file, or module.Class, any class written for Seldon Core's Python wrapper.

    Without MODEL it is what INLIER_MODEL names, or the one model file in /mnt/models, or /model/model.pkl.

    Every option is also an environment variable: INLIER_SERVE_HOST, INLIER_SERVE_PORT, of the others INLIER_ and the
    name. Those of Seldon Core (PREDICTIVE_UNIT_...) work too. SIGTERM stops it within five seconds, after the requests
    under way are answered.
    """
    unanswered = _serve(model, {name: value for name, value in options.items() if value is not None})
    if unanswered:
        # A prediction that nobody waits for any more would hold up the end of the process.
        os._exit(1)


def _default_model() -> str:
    from serving.errors import ComponentError
    from serving.model_uri import default_model_uri

    uri = default_model_uri()
    if not os.environ.get("INLIER_MODEL") and not os.path.exists(uri):  # noqa: PTH110
        raise ComponentError(
            "name a model file or module.Class, set INLIER_MODEL, or put a model file into /mnt/models"
        )
    return uri


def _serve(model: str | None, options: dict[str, Any]) -> int:
    from serving.errors import ComponentError

    try:
        with uncollected():
            import pydantic

            from serving.microservice import loading, logs, server
            from serving.settings import MicroserviceSettings, explain
    except ModuleNotFoundError as error:
        raise ComponentError(f"{error.name} is not installed; pip install 'inlier[serve]'") from error
    try:
        settings = MicroserviceSettings(**options)
    except pydantic.ValidationError as error:
        raise ComponentError(explain(error, MicroserviceSettings)) from error
    model = model or _default_model()
    logs.configure(settings.log_level, settings.log_format)
    ports = [port for port in (settings.serve_port, settings.metrics_port) if port is not None]
    grpc_port = settings.grpc_port
    if grpc_port is not None:  # gRPC shares ports among its own: find out now whether somebody else has it
        with server.bind(settings.serve_host, grpc_port) as probe:
            grpc_port = probe.getsockname()[1]
    if settings.workers > 1:
        return _serve_with_workers(model, settings, ports, grpc_port)
    sockets = [server.bind(settings.serve_host, port) for port in ports]
    return server.serve(loading.load(model, settings.parameters), settings, sockets, grpc_port=grpc_port)


def _serve_with_workers(model: str, settings: "MicroserviceSettings", ports: list[int], grpc_port: int | None) -> int:
    from serving.microservice import loading, server
    from serving.microservice.board import Board
    from serving.microservice.workers import Workers

    board = Board(settings.workers)
    reserved = [server.reserve(settings.serve_host, port) for port in ports]
    loading.prepare(model)  # once, and its memory is shared

    def run(worker: int) -> int:
        try:
            user = loading.load(model, settings.parameters)
        except InlierError as error:
            click.echo(f"error: {error}", err=True)
            return 2
        sockets = [server.bind(settings.serve_host, one.getsockname()[1], shared=True) for one in reserved]
        return 1 if server.serve(user, settings, sockets, board, worker, grpc_port) else 0

    status = Workers(settings.workers, run).supervise()
    if status == 2:
        sys.exit(2)
    return status
