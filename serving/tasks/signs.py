"""Signs of life of programs that listen on no port: two files, for the probes of a cluster.

========= ==================================================================================
``alive`` is touched every few seconds, whatever becomes of broker and database
``ready`` is there while the program reaches what it needs
========= ==================================================================================
"""

import threading
from pathlib import Path
from typing import Any

from celery import bootsteps

BEAT_SECONDS = 5.0


class Signs:
    """The files of one program; what an earlier one left is removed.

    Parameters
    ----------
    folder : Path or None
        Made if it is not there; without it nothing is shown.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._file("alive").unlink(missing_ok=True)
            self.be_ready(False)

    def _file(self, name: str) -> Path:
        assert self._folder is not None  # noqa: S101  # for mypy
        return self._folder / name

    def beat(self) -> None:
        """Show that it is alive."""
        if self._folder is not None:
            self._file("alive").touch()

    def be_ready(self, is_ready: bool) -> None:
        """Show whether it can do its work."""
        if self._folder is None:
            return
        if is_ready:
            self._file("ready").touch()
        else:
            self._file("ready").unlink(missing_ok=True)

    def beat_until(self, stopping: threading.Event) -> None:
        """Show from now on that the interpreter still gives its threads their turn."""
        if self._folder is None:
            return

        def beat() -> None:
            self.beat()
            while not stopping.wait(BEAT_SECONDS):
                self.beat()

        threading.Thread(target=beat, name="signs", daemon=True).start()

    def of_consumer(self) -> type[bootsteps.StartStopStep]:
        """Return a step of Celery's consumer, which is ready from one connection to the broker until its loss."""
        be_ready = self.be_ready

        class Ready(bootsteps.StartStopStep):
            """The last that is started on a new connection."""

            requires = ("celery.worker.consumer.tasks:Tasks",)

            def start(self, parent: Any) -> None:  # noqa: ARG002
                """Say so."""
                be_ready(True)

            def stop(self, parent: Any) -> None:  # noqa: ARG002
                """Take it back."""
                be_ready(False)

        return Ready
