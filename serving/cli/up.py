"""``inlier up``: run the whole service on this machine."""

from pathlib import Path

import click

from serving.settings import HomeSettings


@click.command()
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="The port to listen on.  [default: 8000]")
@click.option("--home", type=click.Path(path_type=Path), help="The folder of its files.  [default: ./.inlier]")
@click.option("--insecure", is_flag=True, help="Let other machines do everything, without API keys.")
def up(host: str | None, port: int | None, home: Path | None, insecure: bool) -> None:
    """Run the proxy and the microservices on this machine, in the foreground; Ctrl-C stops them.

    The settings INLIER_HOST, INLIER_PORT and INLIER_HOME are the defaults.
    """
    from serving.deploy import system
    from serving.deploy.home import Home

    settings = HomeSettings()
    place = Home(home or settings.home)
    system.up(place, host or settings.host, port or settings.port, insecure=insecure, say=click.echo)
