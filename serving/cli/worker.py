"""``inlier worker``: run tasks."""

import logging
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from serving.tasks.worker import Worker


@click.command()
@click.option("--concurrency", type=click.IntRange(1, 256), help="Tasks at once.  [default: one a processor]")
@click.option("--no-reaper", is_flag=True, help="Leave lost tasks to the reapers of others (`inlier reaper`).")
@click.option("--examples", is_flag=True, help="First put the examples into the storage of a new home.")
def worker(concurrency: int | None, no_reaper: bool, examples: bool) -> None:
    """Take tasks from the broker and run them, until SIGTERM or Ctrl-C; what runs then is given back.

    `inlier up` starts one; run more, on this machine or on others, with the same INLIER_DATABASE_URL,
    INLIER_TASK_BROKER_URL and INLIER_STORAGE_URL.
    """
    from serving.tasks.worker import Worker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    found = Worker.from_settings()
    if concurrency is not None:
        found.settings.concurrency = concurrency
    if examples:
        _make_examples(found)
    sys.exit(found.serve(reaps=not no_reaper))


def _make_examples(found: "Worker") -> None:
    from serving.deploy.home import Home
    from serving.settings import HomeSettings
    from serving.tasks import children

    home = Home(HomeSettings().home)
    if home.examples.exists() or found.storage_settings.url:
        return
    if children.make_examples(found.storage_url, found.storage_settings):
        home.examples.touch()
