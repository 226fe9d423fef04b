"""``inlier task``: submit, follow, list and cancel tasks of a running service."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from serving.cli.options import Parameter, parameters, progress_bar
from serving.errors import TaskFailed

if TYPE_CHECKING:
    from serving.client import Client, Task

STATUSES = ("PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED")
Command = Callable[..., None]


def client() -> "Client":
    """Return the service that INLIER_SERVER names, or the one of the home."""
    from serving.client import Client
    from serving.settings import HomeSettings

    settings = HomeSettings()
    if settings.server:
        return Client(settings.server)
    from serving.deploy.home import Home

    running = Home(settings.home).running()
    return Client(running.server if running is not None else f"http://localhost:{settings.port}")


@click.group()
def task() -> None:
    """Submit, follow, list and cancel tasks of a running service.

    The service is the one of INLIER_SERVER, or of the home; a key is taken from INLIER_API_KEY.
    """


@task.group()
def submit() -> None:
    """Submit a task; its id is printed, or, with --wait, its results."""


def _common(command: Command) -> Command:
    options = [
        click.option("--charts", is_flag=True, help="Also draw charts."),
        click.option("--id", "request_id", help="A UUID: the same again is the same task.  [default: a new one]"),
        click.option("--wait", "waits", is_flag=True, help="Wait for the end and print the results."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@submit.command()
@click.option("--model", required=True, help="The detector, e.g. iNNE or DBSCAN; auto for the best.")
@click.option("--features", required=True, help="Path of the feature file in the storage.")
@click.option("--labels", help="Path of the label file in the storage.")
@click.option("--param", "given", type=Parameter(), multiple=True, help="A parameter of the detector.")
@_common
def train(
    model: str,
    features: str,
    labels: str | None,
    given: tuple[tuple[str, Any], ...],
    charts: bool,
    request_id: str | None,
    waits: bool,
) -> None:
    """Train a detector on a file of the storage."""
    with client() as service:
        accepted = service.train(
            model,
            features,
            labels,
            parameters=parameters(given) or None,
            save_charts=charts,
            request_id=request_id,
        )
        _finish(service, accepted, waits=waits)


@submit.command()
@click.option("--model", required=True, help="Path of the model in the storage.")
@click.option("--features", required=True, help="Path of the feature file in the storage.")
@click.option("--labels", required=True, help="Path of the label file in the storage.")
@_common
def valid(model: str, features: str, labels: str, charts: bool, request_id: str | None, waits: bool) -> None:
    """Judge a trained model by labels."""
    with client() as service:
        accepted = service.validate(model, features, labels, save_charts=charts, request_id=request_id)
        _finish(service, accepted, waits=waits)


@submit.command()
@click.option("--features", required=True, help="Path of the feature file in the storage.")
@click.option("--model", help="Path of the model in the storage.")
@click.option("--method", help="For a series without a model: auto, or a detector of series.")
@click.option("--univariate", is_flag=True, help="The model is one of series.")
@click.option("--param", "given", type=Parameter(), multiple=True, help="A parameter of the method.")
@_common
def infer(
    features: str,
    model: str | None,
    method: str | None,
    univariate: bool,
    given: tuple[tuple[str, Any], ...],
    charts: bool,
    request_id: str | None,
    waits: bool,
) -> None:
    """Score and judge the rows of a file of the storage."""
    with client() as service:
        accepted = service.infer(
            features,
            model,
            method_name=method,
            detection_type="univariate" if univariate else None,
            parameters=parameters(given) or None,
            save_charts=charts,
            request_id=request_id,
        )
        _finish(service, accepted, waits=waits)


@task.command()
@click.argument("task_id")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait at most.  [default: for ever]")
def wait(task_id: str, timeout: float | None) -> None:
    """Wait for the end of a task, with a progress bar, and print its results.

    The exit status is 1 when it failed or was revoked, and 3 when it has not ended in time.
    """
    with client() as service:
        _follow(service, task_id, timeout)


@task.command("list")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), help="Only those of this status.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most.")
def list_tasks(status: str | None, limit: int) -> None:
    """List tasks, the newest first: id, kind, status, progress, what is being done or what was wrong."""
    with client() as service:
        for each in service.tasks(status=status, limit=limit):
            said = each.error[1] if each.error else each.doing
            click.echo(f"{each.id}  {each.kind:5}  {each.status:7}  {each.share:4.0%}  {said}".rstrip())


@task.command()
@click.argument("task_id")
def cancel(task_id: str) -> None:
    """Cancel a task that waits or runs."""
    with client() as service:
        click.echo(service.cancel(task_id).status)


def _finish(service: "Client", accepted: "Task", *, waits: bool) -> None:
    if not waits:
        click.echo(accepted.id)
        return
    click.echo(f"task {accepted.id}", err=True)
    _follow(service, accepted.id, None)


def _follow(service: "Client", task_id: str, timeout: float | None) -> None:
    context = click.get_current_context()
    try:
        with progress_bar() as report:
            done = service.wait(task_id, timeout, lambda seen: report(seen.share, seen.doing or seen.status))
    except TaskFailed as error:
        click.echo(f"error: {error}", err=True)
        context.exit(1)
    except TimeoutError as error:
        click.echo(f"error: {error}", err=True)
        context.exit(3)
    click.echo(json.dumps({"_id": done.id, "task": done.kind, "status": done.status, **done.results}, indent=2))
