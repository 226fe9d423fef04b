"""``inlier reaper``: looks after the tasks of all workers, and runs none."""

import logging
import signal
import threading
from types import FrameType

import click


@click.command()
def reaper() -> None:
    """Send again what workers or brokers lost, and forget what ended long ago; until SIGTERM or Ctrl-C.

    Every worker has a reaper of its own, unless it is started with --no-reaper. Any number may run at once.
    """
    from serving.tasks.reaper import Reaper
    from serving.tasks.signs import Signs
    from serving.tasks.worker import Worker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    shared = Worker.from_settings()
    signs = Signs(shared.settings.probe_folder)
    try:
        Reaper(shared.database, shared.storage, shared.app, shared.settings, signs).run(stopping)
    finally:
        shared.database.close()
