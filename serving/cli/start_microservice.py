"""The command ``start-microservice``: run microservices and give them a client's requests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from serving.cli.running import run
from serving.deploy import formats, manifest, model_files, places, rollout, service
from serving.deploy.formats import FORMATS, Format
from serving.deploy.home import Home
from serving.deploy.runtime import Order
from serving.deploy.service import Service
from serving.errors import DeployError
from serving.settings import DeploySettings, HomeSettings

Kind = Literal["rest", "rpc"]
Asked = tuple[tuple[str, str, Kind, float], ...]
SERVICE = (str, str, click.Choice(["rest", "rpc"]), float)


def say(line: str) -> None:
    """Tell the person who waits; standard output stays for answers."""
    click.echo(line, err=True)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where and how."""
    options = [
        click.option(
            "--replicas",
            type=click.IntRange(1, 64),
            help="Copies of each.  [default: 1, or what an autoscaler made of it]",
        ),
        click.option(
            "--runtime",
            type=click.Choice(["auto", *places.RUNTIMES]),
            default="auto",
            show_default=True,
            help="Where they run. auto: process where `inlier up` runs, else kubernetes where a cluster can be "
            "reached, else docker where an engine answers.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(list(FORMATS)),
            default="deployment",
            show_default=True,
            help="What they are on a cluster.",
        ),
        click.option("--namespace", metavar="NAME", help="Of the proxy and the microservices.  [default: inlier]"),
        click.option("--context", metavar="NAME", help="Of the kubeconfig.  [default: its current one]"),
        click.option("--home", type=click.Path(path_type=Path), help="The home of `inlier up`.  [default: ./.inlier]"),
        click.option("--server", metavar="URL", help="The proxy.  [default: the one of the home, or of the cluster]"),
        click.option(
            "--conf",
            type=click.Path(path_type=Path, file_okay=False),
            default=manifest.FOLDER,
            show_default=True,
            help="Where the Kubernetes manifests are written.",
        ),
        click.option(
            "--timeout", type=click.FloatRange(min=1), metavar="SECONDS", help="How long becoming ready may take."
        ),
        click.option("--wait/--no-wait", "waits", default=True, help="Whether to wait until all are ready.  [default]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


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
    help="Serve a model file, of this machine or of the storage. Several -i and -p share the requests out by their "
    "ratios, which add up to 1.",
)
@_options
@click.option("--dry-run", is_flag=True, help="Print the manifests and do nothing.")
@click.option("--status", "show_status", is_flag=True, help="Show what runs.")
@click.option("--remove", "removed", metavar="NAME", help="Stop a microservice.")
def command(
    kind: str,
    client: str | None,
    images: Asked,
    models: Asked,
    replicas: int | None,
    dry_run: bool,
    show_status: bool,
    removed: str | None,
    waits: bool,
    conf: Path,
    **place: Any,
) -> None:
    """Run microservices and give them a client's requests.

    \b
    start-microservice --type prediction --client test -i inne seldonio/simulation_inne:1.0.1 rest 1.0

    One that already runs is rolled over: its new version gets ready, then the requests, and then the old one stops.
    """
    if kind == "recommendation":
        raise DeployError("--type recommendation belonged to another product; Inlier does prediction")
    settings = _settings(place.pop("timeout"), place.pop("namespace"))
    order = Order(_services(images, models, settings), replicas, waits)
    if dry_run:
        _print(order, place["form"], settings, place["server"])
        return
    if (show_status or removed is not None) and order.services:
        raise DeployError("--status and --remove start nothing; leave out -i and -p")
    where = places.find(settings=settings, home=Home(place.pop("home") or HomeSettings().home), say=say, **place)
    with where as (runtime, proxy):
        if show_status:
            for line in rollout.status(runtime, proxy):
                click.echo(line)
        elif removed is not None:
            rollout.remove(runtime, proxy, removed, conf, say)
        elif client is None:
            raise DeployError("whose requests should the microservices get? Say --client NAME")
        else:
            rollout.deploy(runtime, proxy, client, order, conf, say)


def _settings(timeout: float | None, namespace: str | None) -> DeploySettings:
    given: dict[str, Any] = {"ready_seconds": timeout, "namespace": namespace}
    return DeploySettings(**{name: value for name, value in given.items() if value is not None})


def _services(images: Asked, models: Asked, settings: DeploySettings) -> list[Service]:
    return [
        *(service.from_image(*image, settings) for image in images),
        *(service.from_model(*model, settings) for model in models),
    ]


def _print(order: Order, form: Format, settings: DeploySettings, server: str | None) -> None:
    """Print the manifests; a model of the storage is looked up where a proxy is named."""
    service.check(order.services)
    proxy = places.named_proxy(server)
    for each in order.services:
        formats.check(form, each)
        located = model_files.locate(each, proxy)
        click.echo(json.dumps(formats.render(form, located, settings, order.copies), indent=2))


def main() -> None:
    """Run the command; see ``run``."""
    run(command, "start-microservice")
