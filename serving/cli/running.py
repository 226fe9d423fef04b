"""How commands end: an error is one line on standard error, and a status that is not 0."""

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

from detectors.errors import InlierError

WRONG = 2
OWN = ("detectors", "serving", "training")
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@contextmanager
def in_one_line() -> Iterator[None]:
    """End a command with a line where it can go no further: a disk is full, text is none, nesting has no end."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a letter that it lacks is no reason to fail
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in {*OWN, ""}:
            raise
        _end(f"this needs {library}, which is not installed; install inlier[all]", WRONG)
    except OSError as error:
        _give_up_output()
        place = "" if error.filename is None else f"{error.filename}: "
        _end(f"{place}{error.strerror or error or type(error).__name__}", WRONG)
    except UnicodeError as error:
        _end(f"what was given is no text: {error}", WRONG)
    except RecursionError:
        _end("something is nested too deeply", WRONG)


def _give_up_output() -> None:
    """Do not let the interpreter try again, at its end, to write what could not be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(command: click.Command, name: str) -> None:
    """Run a command and exit; told to end, it takes back what it has begun, as after Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with in_one_line():
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
    with suppress(OSError):  # standard error may be full as well
        click.echo(f"error: {message}", err=True)
    sys.exit(status)
