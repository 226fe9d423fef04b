"""The command ``start-microservice``: run microservices and give them a client's requests."""

import json
from pathlib import Path
from typing import Literal

import click

from serving.cli.running import run
from serving.deploy import manifest, rollout, service
from serving.deploy.calls import Proxy
from serving.deploy.home import Home
from serving.deploy.process import ProcessRuntime
from serving.deploy.service import Service
from serving.errors import DeployError
from serving.settings import DeploySettings, HomeSettings

Kind = Literal["rest", "rpc"]
Asked = tuple[tuple[str, str, Kind, float], ...]
SERVICE = (str, str, click.Choice(["rest", "rpc"]), float)


def say(line: str) -> None:
    """Tell the person who waits; standard output stays for answers."""
    click.echo(line, err=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--type", "kind", type=click.Choice(["prediction", "recommendation"]), default="prediction")
@click.option("--client", metavar="NAME", help="The client whose requests the microservices get.")
@click.option("-i", "images", type=SERVICE, multiple=True, metavar="NAME IMAGE {rest,rpc} RATIO", help="Run an image.")
@click.option(
    "-p",
    "models",
    type=SERVICE,
    multiple=True,
    metavar="NAME MODEL_PATH {rest,rpc} RATIO",
    help="Serve a model file. Several -i and -p share the requests out by their ratios, which add up to 1.",
)
@click.option("--replicas", type=click.IntRange(1, 64), default=1, show_default=True, help="Copies of each.")
@click.option(
    "--runtime",
    type=click.Choice(["auto", "process"]),
    default="auto",
    show_default=True,
    help="Where they run; process: on this machine, supervised by `inlier up`.",
)
@click.option("--home", type=click.Path(path_type=Path), help="The home of `inlier up`.  [default: ./.inlier]")
@click.option("--server", metavar="URL", help="The proxy.  [default: the one of the home]")
@click.option(
    "--conf",
    type=click.Path(path_type=Path, file_okay=False),
    default=manifest.FOLDER,
    show_default=True,
    help="Where the Kubernetes manifests are written.",
)
@click.option("--timeout", type=click.FloatRange(min=1), metavar="SECONDS", help="How long becoming ready may take.")
@click.option("--dry-run", is_flag=True, help="Print the manifests and do nothing.")
@click.option("--status", "show_status", is_flag=True, help="Show what runs.")
@click.option("--remove", "removed", metavar="NAME", help="Stop a microservice.")
def command(
    kind: str,
    client: str | None,
    images: Asked,
    models: Asked,
    replicas: int,
    runtime: str,
    home: Path | None,
    server: str | None,
    conf: Path,
    timeout: float | None,
    dry_run: bool,
    show_status: bool,
    removed: str | None,
) -> None:
    """Run microservices and give them a client's requests.

    \b
    start-microservice --type prediction --client test -i inne seldonio/simulation_inne:1.0.1 rest 1.0

    One that already runs is rolled over: its new version gets ready, then the requests, and then the old one stops.
    """
    if kind == "recommendation":
        raise DeployError("--type recommendation belonged to another product; Inlier does prediction")
    settings = DeploySettings() if timeout is None else DeploySettings(ready_seconds=timeout)
    services = _services(images, models, settings)
    if dry_run:
        service.check(services)
        for each in services:
            click.echo(json.dumps(manifest.render(each, replicas), indent=2))
        return
    place = Home(home or HomeSettings().home)
    runs = _runtime(runtime, place, settings)
    proxy = Proxy(server or HomeSettings().server or runs.server)
    if show_status:
        for line in rollout.status(runs, proxy):
            click.echo(line)
    elif removed is not None:
        rollout.remove(place, runs, proxy, removed, conf, say)
    elif client is None:
        raise DeployError("whose requests should the microservices get? Say --client NAME")
    else:
        rollout.deploy(place, runs, proxy, client, services, conf, replicas, say)


def _services(images: Asked, models: Asked, settings: DeploySettings) -> list[Service]:
    return [
        *(service.from_image(*image, settings) for image in images),
        *(service.from_model(*model, settings) for model in models),
    ]


def _runtime(name: str, home: Home, settings: DeploySettings) -> ProcessRuntime:
    runtime = ProcessRuntime(home, settings, say)
    if name == "auto":
        say(f"runtime: process, because `inlier up` runs in {home.path}")
    return runtime


def main() -> None:
    """Run the command; see ``run``."""
    run(command, "start-microservice")
