"""The command ``inlier``: one subcommand a module, imported only when it is called for."""

import importlib
import sys
from typing import Any

import click

from detectors.errors import InlierError
from serving.cli.running import in_one_line

COMMANDS = {
    "alive": ("serving.cli.alive:alive", "Tell whether the proxy, worker or reaper of a container is at work."),
    "detectors": ("serving.cli.detectors:detectors", "List the detectors there are, and what they can be told."),
    "keys": ("serving.cli.keys:keys", "Make, list and delete keys for the API."),
    "migrate": ("serving.cli.migrate:migrate", "Bring the database of proxies and workers up to date."),
    "proxy": ("serving.cli.proxy:proxy", "Run the proxy alone."),
    "reaper": ("serving.cli.reaper:reaper", "Look after the tasks of all workers."),
    "score": ("serving.cli.score:score", "Score the rows of a file with a trained model."),
    "serve": ("serving.cli.serve:serve", "Answer predictions of one model over HTTP."),
    "task": ("serving.cli.task:task", "Submit, follow, list and cancel tasks of a running service."),
    "train": ("serving.cli.train:train", "Train a detector and write a model file."),
    "up": ("serving.cli.up:up", "Run the whole service on this machine."),
    "worker": ("serving.cli.worker:worker", "Run tasks."),
}
"""Each subcommand's place and its line in ``inlier --help``, so that help imports none of them."""


class _LazyGroup(click.Group):
    """Subcommands by `COMMANDS`; errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])

    def main(self, *args: Any, **more: Any) -> Any:
        with in_one_line():
            return super().main(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InlierError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"inlier {version('inlier')}")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def main() -> None:
    """Inlier: anomaly detectors that you train, serve and operate yourself.

    \b
    inlier train --detector inne --features data.csv --out model.pkl
    inlier score model.pkl data.csv --out scores.csv
    inlier serve model.pkl
    """
