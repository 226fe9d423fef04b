"""How the commands beside ``inlier`` end: an error is one line on standard error, and a status that is not 0."""

import signal
import sys
from types import FrameType

import click

from detectors.errors import InlierError

WRONG = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def run(command: click.Command, name: str) -> None:
    """Run a command and exit; told to end, it takes back what it has begun, as after Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = command.main(prog_name=name, standalone_mode=False)
    except InlierError as error:
        _end(str(error), WRONG)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _end(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _end("interrupted", INTERRUPTED)
    else:
        sys.exit(status if isinstance(status, int) else 0)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def _end(message: str, status: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(status)
