"""``inlier alive``: the probe of a container, whatever runs in it."""

import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import click

PROBE_SECONDS = 4.0
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # HTTP_PROXY is not for this container itself


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=120.0,
    show_default=True,
    help="How long a worker or reaper may be silent.",
)
def alive(seconds: float) -> None:
    """Tell by the exit status whether the proxy, worker or reaper of this container is at work.

    A worker or reaper touches the file `alive` in INLIER_TASK_PROBE_FOLDER every few seconds; where that file is not,
    it is a proxy that is asked, at INLIER_PORT.
    """
    file = Path(os.environ.get("INLIER_TASK_PROBE_FOLDER", ""), "alive")
    problem = _silence(file, seconds) if file.is_file() else _unanswered(os.environ.get("INLIER_PORT", "8000"))
    if problem:
        click.echo(problem, err=True)
        sys.exit(1)


def _silence(file: Path, seconds: float) -> str:
    silent = time.time() - file.stat().st_mtime
    return f"silent for {silent:.0f} seconds" if silent > seconds else ""


def _unanswered(port: str) -> str:
    try:
        OPENER.open(f"http://127.0.0.1:{port}/health/status", timeout=PROBE_SECONDS).close()
    except (urllib.error.URLError, OSError, ValueError) as error:
        return f"the proxy does not answer: {error}"
    return ""
