"""Where a model runs: what would hold up other requests goes to a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, thread_time
from typing import Any, TypeVar

from serving.errors import Busy, Overdue
from serving.microservice.service import Service

_Asked = TypeVar("_Asked")
_Told = TypeVar("_Told")
_LONG_SECONDS = 0.005
_HEAD_BYTES = 3000
"""Added to a request's size: even an empty one takes some time, with iNNE as long as 3000 bytes of numbers more."""


class LongCalls:
    """Where a model runs: in the event loop's thread, or in one of its own if that would hold up others.

    Our own classes can run in any thread, so what took long for its size goes to a thread the next time. A class
    written for the wrapper may depend on the thread it was made in: it stays there, as under the wrapper, unless
    ``GUNICORN_THREADS`` says that it can stand several.

    Parameters
    ----------
    service : Service
        What is served.
    """

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._adaptive = service.component.own
        self._always = not self._adaptive and settings.predict_threads > 1
        self._pool = ThreadPoolExecutor(settings.predict_threads, thread_name_prefix="predict")
        self._max_waiting = settings.max_waiting
        self._seconds = settings.predict_seconds
        self._waiting = 0
        self._pace = 0.0  # seconds for a byte, of late
        self._doubtful = False  # the last call took long by the clock on the wall

    def takes_long(self, size: int) -> bool:
        """Whether a call should not run in the event loop's thread.

        Parameters
        ----------
        size : int
            Of the request, in bytes: what it takes is taken to grow with that.

        Returns
        -------
        bool
            By what calls took of late.
        """
        return self._always or (self._adaptive and (size + _HEAD_BYTES) * self._pace > _LONG_SECONDS)

    def run_here(self, call: Callable[[_Asked], _Told], asked: _Asked, size: int) -> _Told:
        """Run a call of the model in this thread.

        Parameters
        ----------
        call : callable
            With everything from the request to the answer.
        asked : object
            What it is given.
        size : int
            Of the request, in bytes.

        Returns
        -------
        object
            Of the call.
        """
        # Asking for a thread's own time takes 1 us, but only that tells a long call from one that was interrupted.
        clock = thread_time if self._doubtful else perf_counter
        began = clock()
        try:
            return call(asked)
        finally:
            seconds = clock() - began
            self._doubtful = seconds > _LONG_SECONDS and clock is perf_counter
            if not self._doubtful:
                self._learn(seconds, size)

    def _learn(self, seconds: float, size: int) -> None:
        # Up at once, down slowly: one fast request after a slow one proves little.
        pace = seconds / (size + _HEAD_BYTES)
        self._pace = pace if pace > self._pace else 0.9 * self._pace + 0.1 * pace

    async def run(self, call: Callable[[_Asked], _Told], asked: _Asked, size: int) -> _Told:
        """Run a call of the model where it should run.

        Parameters
        ----------
        call, asked, size
            As for `run_here`.

        Returns
        -------
        object
            Of the call.

        Raises
        ------
        Busy
            If too many wait already.
        Overdue
            If it takes too long; its thread goes on, as nothing can stop it.
        """
        if not self.takes_long(size):
            return self.run_here(call, asked, size)
        if self._waiting >= self._max_waiting:
            raise Busy(f"{self._waiting} predictions wait already")
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, _timed, call, asked)
        future.add_done_callback(self._finished)
        try:
            told, seconds = await asyncio.wait_for(asyncio.shield(future), self._seconds)
        except TimeoutError:
            raise Overdue(f"the prediction takes longer than {self._seconds:g} s") from None
        self._learn(seconds, size)
        return told

    def _finished(self, future: "asyncio.Future[Any]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # seen: after a time-out nobody awaits it

    def close(self) -> None:
        """Let no more begin."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _timed(call: Callable[[_Asked], _Told], asked: _Asked) -> tuple[_Told, float]:
    began = thread_time()
    told = call(asked)
    return told, thread_time() - began
