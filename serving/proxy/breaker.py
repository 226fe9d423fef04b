"""A circuit breaker for each variation, in each process: who fails gets no requests while others can answer them.

It opens after `failures` in a row, or when two failed, or one timed out, and nothing was answered for half of
`seconds`. While it is open its share goes to the others, and every `seconds` one request is also sent to it, beside
the answer that the client gets: what is answered closes the breaker. Before any time-out has passed, the share goes to
the others as well while several requests wait and none was answered for half of `seconds`.

Errors of the client's making are answers. A variation without others is asked nevertheless as long as it fails at
once; one of which two requests timed out in a row would hold the threads that others need, and is asked by one request
every `seconds`.

The breakers on PyPI (pybreaker, circuitbreaker, aiobreaker) wrap a call. Here the question comes before the draw,
waiting counts too, and the trial is no client's request.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from serving.errors import UpstreamDown, UpstreamFault, UpstreamSlow
from serving.proxy.store import Route

FAILURES = (UpstreamDown, UpstreamFault, UpstreamSlow)
WAITING = 3  # requests; fewer that take long may just be long ones

OnChange = Callable[[bool, str], None]


class Breaker:
    """The breaker of a variation at one address.

    Parameters
    ----------
    url : str
        Where the variation is.
    failures : int
        As many in a row open it.
    seconds : float
        See the module.
    on_change : callable
        Told whether it is open now, and why.
    clock : callable, default=monotonic
        Seconds.
    """

    def __init__(
        self, url: str, failures: int, seconds: float, on_change: OnChange, clock: Callable[[], float] = monotonic
    ) -> None:
        self.url = url
        self.is_open = False
        self.hangs = False
        self._is_retired = False
        self._limit = failures
        self._seconds = seconds
        self._on_change = on_change
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._failing_since = 0.0
        self._waiting = 0
        self._silent_since = 0.0
        self._next_trial = 0.0

    def is_free(self) -> bool:
        """Tell whether requests may be drawn for it."""
        if self.is_open:
            return False
        if self._waiting < WAITING:
            return True
        return self._clock() - self._silent_since < self._seconds / 2

    def trial_is_due(self) -> bool:
        """Tell whether to find out if it answers again; true for one of those who ask, and then not for a while."""
        with self._lock:
            now = self._clock()
            if not self.is_open or now < self._next_trial:
                return False
            self._next_trial = now + self._seconds
            return True

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Learn from how a request to it ends."""
        with self._lock:
            if not self._waiting:
                self._silent_since = self._clock()
            self._waiting += 1
        try:
            yield
        except FAILURES as error:
            self._ended(error)
            raise
        except BaseException:
            self._ended(None)
            raise
        self._ended(None)

    def _ended(self, error: Exception | None) -> None:
        with self._lock:
            self._waiting -= 1
            now = self._clock()
            if error is None:
                self._silent_since = now
                self._failures = 0
                if self.is_open:
                    self.is_open = self.hangs = False
                    self._on_change(False, "it answered")
                return
            if not self._failures:
                self._failing_since = self._silent_since
            self._failures += 1
            self._failed(error, now)

    def _failed(self, error: Exception, now: float) -> None:
        slow = isinstance(error, UpstreamSlow)
        silent = now - self._failing_since >= self._seconds / 2
        self.hangs = slow and self._failures > 1  # one request may just be a long one
        if self.is_open:
            self._next_trial = now + self._seconds
        elif self._is_retired:
            return  # a request from before: its breaker would stay open in the metrics for ever
        elif self._failures >= self._limit or (silent and (slow or self._failures > 1)):
            self.is_open = True
            self._next_trial = now + self._seconds
            self._on_change(True, str(error))

    def retire(self) -> None:
        """Say that it is closed, as nothing is asked of it any more."""
        with self._lock:
            self._is_retired = True
            if self.is_open:
                self.is_open = False
                self._on_change(False, "it is not in use any more")


class Breakers:
    """The breakers of one process, by client and label.

    Parameters
    ----------
    failures : int
        As many in a row open one; 0 is no breakers.
    seconds : float
        See the module.
    on_change : callable
        Told client, label, whether it is open now, and why.
    """

    def __init__(self, failures: int, seconds: float, on_change: Callable[[str, str, bool, str], None]) -> None:
        self._failures = failures or 2**31
        self._seconds = seconds if failures else float("inf")
        self._on_change = on_change
        self._of: dict[str, dict[str, Breaker]] = {}
        self._lock = threading.Lock()

    def of(self, client: str, routes: Sequence[Route]) -> list[Breaker]:
        """Return a breaker for each variation; those of variations that are no more go."""
        known = self._of.get(client)
        if known is not None and len(known) == len(routes):
            found = [known.get(route.label) for route in routes]
            if all(each is not None and each.url == route.url for each, route in zip(found, routes, strict=True)):
                return found  # type: ignore[return-value]  # none is None
        return self._renew(client, routes)

    def _renew(self, client: str, routes: Sequence[Route]) -> list[Breaker]:
        with self._lock:
            before = self._of.get(client, {})
            now = {}
            for route in routes:
                held = before.get(route.label)
                now[route.label] = held if held and held.url == route.url else self._make(client, route)
            for label, breaker in before.items():
                if now.get(label) is not breaker:
                    breaker.retire()
            self._of[client] = now
            return list(now.values())

    def _make(self, client: str, route: Route) -> Breaker:
        def changed(is_open: bool, why: str) -> None:
            self._on_change(client, route.label, is_open, why)

        return Breaker(route.url, self._failures, self._seconds, changed)
