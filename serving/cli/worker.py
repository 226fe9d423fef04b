"""``inlier worker``: run tasks."""

import logging
import sys

import click


@click.command()
@click.option("--concurrency", type=click.IntRange(1, 256), help="Tasks at once.  [default: one a processor]")
def worker(concurrency: int | None) -> None:
    """Take tasks from the broker and run them, until SIGTERM or Ctrl-C; what runs then is given back.

    `inlier up` starts one; run more, on this machine or on others, with the same INLIER_DATABASE_URL,
    INLIER_TASK_BROKER_URL and INLIER_STORAGE_URL.
    """
    from serving.tasks.worker import Worker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    found = Worker.from_settings()
    if concurrency is not None:
        found.settings.concurrency = concurrency
    sys.exit(found.serve())
