"""Several processes that serve the same sockets, and one that watches over them."""

import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

_log = logging.getLogger("inlier.workers")
_SOON_SECONDS = 5.0
_TRIES = 3


class Workers:
    """The parent: it starts workers again that die, and stops them when it is told to stop.

    Parameters
    ----------
    count : int
        How many.
    run : callable
        ``run(index)`` serves until told to stop, and returns an exit status.
    """

    def __init__(self, count: int, run: Callable[[int], int]) -> None:
        self._count = count
        self._run = run
        self._started: dict[int, tuple[int, float]] = {}
        self._failures = [0] * count
        self._stopping = False

    def supervise(self) -> int:
        """Run the workers until told to stop.

        Returns
        -------
        int
            0 if all ended well, else the status of one that did not.
        """
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._stop)
        for index in range(self._count):
            self._start(index)
        worst = 0
        while self._started:
            pid, status = os.wait()
            index, began = self._started.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if self._stopping:
                # One that was still loading has taken no request: the signal just ends it.
                worst = worst or (0 if code in (-signal.SIGTERM, -signal.SIGINT) else code)
            elif self._hopeless(index, code, began):
                worst = code if code > 0 else 1
                self._stop(signal.SIGTERM, None)
            else:
                _log.error("worker %d (pid %d) ended with status %d; starting another", index, pid, code)
                self._start(index)
        return worst

    def _hopeless(self, index: int, code: int, began: float) -> bool:
        """Whether another try would end the same way: it could not load, or dies again and again."""
        soon = time.monotonic() - began < _SOON_SECONDS
        self._failures[index] = self._failures[index] + 1 if soon else 0
        return code == 2 or self._failures[index] >= _TRIES

    def _start(self, index: int) -> None:
        pid = os.fork()
        if not pid:
            for sig in (signal.SIGTERM, signal.SIGINT):
                signal.signal(sig, signal.SIG_DFL)
            code = 1
            try:
                code = self._run(index)
            finally:
                os._exit(code)
        self._started[pid] = (index, time.monotonic())

    def _stop(self, sig: int, _: FrameType | None) -> None:
        self._stopping = True
        for pid in self._started:
            os.kill(pid, sig)
