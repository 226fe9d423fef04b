"""``inlier proxy``: the proxy alone, as a container runs it."""

import click

from serving.settings import HomeSettings


@click.command()
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="The port to listen on.  [default: 8000]")
def proxy(host: str | None, port: int | None) -> None:
    """Run the proxy alone, until SIGTERM; workers and microservices run elsewhere.

    It needs a database that `inlier migrate` brought up to date. Where other machines can reach it,
    INLIER_PROXY_ACCESS says who may use it: keys or open. The settings INLIER_HOST and INLIER_PORT are the defaults.
    """
    from serving.proxy.server import serve

    settings = HomeSettings()
    serve(host or settings.host, port or settings.port)
