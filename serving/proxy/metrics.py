"""What /metrics shows: numbers of the gateway by client and variation, counted by all processes of the proxy.

Each process counts in its own part of a memory that they share, and whichever is asked adds the parts up. Other
modules add what is found out when somebody asks: ``metrics.add_gauge(name, explanation, read)``.

===================================== ========= ===================================================================
inlier_gateway_requests_total         counter   client, variation, status; no variation: refused before the draw
inlier_gateway_request_seconds        histogram client, variation: whole requests, the microservice's time included
inlier_gateway_retries_total          counter   client, variation: whose connection was refused
inlier_gateway_breaker_open           gauge     client, variation, worker: 1 while a process draws others instead;
                                                of variations that there are
inlier_gateway_breaker_opened_total   counter   client, variation
===================================== ========= ===================================================================
"""

import logging
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from flask import Blueprint, Response

from serving.microservice.board import Board, Part
from serving.microservice.exposition import CONTENT_TYPE, IsShown, SharedMetrics

log = logging.getLogger(__name__)

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
REQUESTS: Final = "inlier_gateway_requests_total"
LATENCY: Final = "inlier_gateway_request_seconds"
RETRIES: Final = "inlier_gateway_retries_total"
OPEN: Final = "inlier_gateway_breaker_open"
OPENED: Final = "inlier_gateway_breaker_opened_total"
HELP: Final = {
    REQUESTS: "Predictions asked for, by client, variation and status of the answer.",
    LATENCY: "From the request to the answer, the microservice's time included.",
    RETRIES: "Requests drawn again because this variation refused the connection.",
    OPEN: "1 while this process gives the variation's share to the others, because it failed.",
    OPENED: "How often a process began to give the variation's share to the others.",
    "process_start_time_seconds": "Start of the process that was asked, since the epoch.",
}

Reading = Iterable[tuple[dict[str, str], float]]


class ProxyMetrics(SharedMetrics):
    """One process's counting, and the view of all.

    Parameters
    ----------
    board : Board, optional
        Shared by the processes; one of its own when not given.
    worker : int, default=0
        Which part is this process's.
    """

    def __init__(self, board: Board | None = None, worker: int = 0) -> None:
        super().__init__(board or Board(), worker, {}, dict(HELP))
        clear_gauges(self._part)  # a process begins with no breaker open
        self._lock = threading.Lock()  # counting up is two steps, and threads share this part
        self._read: dict[str, Callable[[], Reading]] = {}
        self._variations: Callable[[], Iterable[tuple[Any, ...]]] | None = None

    def request(self, client: str, variation: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        slots, values = self._slots, self._values
        count, latency = (client, variation, status), (client, variation)
        with self._lock:
            if count not in slots:
                labels = {"client": client, "variation": variation}
                slots[count] = self._slot("counter", REQUESTS, labels | {"status": str(status)})
                slots[latency] = self._slot("histogram", LATENCY, labels, SECONDS)
            if (slot := slots[count]) >= 0:
                values[slot] += 1.0
            if (slot := slots[latency]) >= 0:
                values[slot + bisect_left(SECONDS, seconds)] += 1.0
                values[slot + len(SECONDS) + 1] += seconds

    def retried(self, client: str, variation: str) -> None:
        """Count a request that is drawn again."""
        self._add(RETRIES, client, variation)

    def breaker(self, client: str, variation: str, *, is_open: bool) -> None:
        """Note that a breaker has opened or closed."""
        if is_open:
            self._add(OPENED, client, variation)
        with self._lock:
            slot = self._slot("gauge", OPEN, {"client": client, "variation": variation})
            if slot >= 0:
                self._values[slot] = float(is_open)

    def _add(self, name: str, client: str, variation: str) -> None:
        with self._lock:
            slot = self._slot("counter", name, {"client": client, "variation": variation})
            if slot >= 0:
                self._values[slot] += 1.0

    def add_gauge(self, name: str, explanation: str, read: Callable[[], Reading]) -> None:
        """Show a gauge that is found out when somebody asks.

        Parameters
        ----------
        name : str
            For example ``inlier_tasks``.
        explanation : str
            One line.
        read : callable
            Gives labels and value of each sample; where it fails, the other metrics are shown nevertheless.
        """
        self._helps[name] = explanation
        self._read[name] = read

    def show_breakers_of(self, variations: Callable[[], Iterable[tuple[Any, ...]]]) -> None:
        """Show breakers only of these: a process learns that one is no more when somebody asks for it, if ever.

        Parameters
        ----------
        variations : callable
            Gives client and label of each; where it fails, all breakers are shown.
        """
        self._variations = variations

    def show(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return self.render(self._found(), self._is_shown())

    def _is_shown(self) -> IsShown:
        try:
            known = None if self._variations is None else set(self._variations())
        except Exception:
            log.exception("which variations there are cannot be found out")
            known = None
        return lambda name, labels: name != OPEN or known is None or (labels["client"], labels["variation"]) in known

    def _found(self) -> Iterator[tuple[str, dict[str, str], float]]:
        for name, read in self._read.items():
            try:
                found = list(read())
            except Exception:
                log.exception("the metric %s cannot be found out", name)
            else:
                yield from ((name, labels, value) for labels, value in found)


def clear_gauges(part: Part) -> None:
    """Set the gauges of a part to 0, as when its process has gone."""
    for entry in part.definitions():
        if entry["type"] == "gauge":
            part.values[entry["at"]] = 0.0


class Parts:
    """Hands out the parts of a board, in the process that forks the others.

    Parameters
    ----------
    workers : int
        How many processes there usually are; while they are replaced there may be twice as many.
    """

    def __init__(self, workers: int) -> None:
        self.board = Board(2 * workers + 1)
        self._free = list(range(2 * workers + 1))

    def take(self) -> int | None:
        """Return a free part: one that counted before, so that its numbers go on; None if there is none."""
        return self._free.pop(0) if self._free else None

    def give_back(self, part: int) -> None:
        """Take back the part of a process that has gone; what it counted stays."""
        clear_gauges(self.board.parts[part])
        self._free.insert(0, part)


def blueprint(metrics: ProxyMetrics) -> Blueprint:
    """Return /metrics; where the API asks for keys, one of role read will do."""
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def show() -> Response:
        return Response(metrics.show(), content_type=CONTENT_TYPE.decode())

    return routes
