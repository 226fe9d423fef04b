"""A prediction from the request to the answer: who asks, which variation answers, what is counted and logged of it."""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from serving.errors import ProxyError, RequestError
from serving.proxy.breaker import Breaker, Breakers
from serving.proxy.choice import Choice, choose
from serving.proxy.database import Database
from serving.proxy.metrics import ProxyMetrics
from serving.proxy.payload import Rows, prediction, read_rows
from serving.proxy.store import Route
from serving.proxy.upstream import Upstream
from serving.proxy.upstream_faults import Refused
from serving.settings import GatewaySettings

log = logging.getLogger("inlier.gateway")

REASON_LENGTH = 500
KEY_BYTES = 256

FindRoutes = Callable[[Database], tuple[str, list[Route]]]


@dataclass(slots=True)
class Attempt:
    """What is known of a prediction so far."""

    puid: str = field(default_factory=lambda: secrets.token_hex(20))
    client: str = ""
    variation: str = ""
    key: bytes | None = None
    began: float = field(default_factory=perf_counter)


def check_key(key: bytes | None) -> bytes | None:
    """Return the key by which a request stays with its variation; an empty one is none."""
    if key and len(key) > KEY_BYTES:
        raise RequestError(f"the key of X-Inlier-Sticky is {len(key)} bytes long; {KEY_BYTES} are allowed")
    return key or None


class Predictor:
    """What one process needs to predict."""

    def __init__(
        self, database: Database, upstream: Upstream, metrics: ProxyMetrics, settings: GatewaySettings, max_rows: int
    ) -> None:
        self._database = database
        self._upstream = upstream
        self._metrics = metrics
        self._logs_all = settings.log == "all"
        self._max_rows = max_rows
        self._breakers = Breakers(settings.breaker_failures, settings.breaker_ms / 1000, self._breaker_changed)

    @contextmanager
    def watch(self) -> Iterator[Attempt]:
        """Count and log a prediction, however it ends."""
        attempt = Attempt()
        try:
            yield attempt
        except Exception as error:
            status = _status(error)
            self._count(attempt, status)
            self._log_failure(attempt, status, error)
            raise
        self._count(attempt, 200)
        if self._logs_all:
            log.info("predicted: %s", _line(attempt, 200))

    def predict(self, attempt: Attempt, find_routes: FindRoutes, read_message: Callable[[], Any]) -> dict[str, Any]:
        """Return the answer of a variation of the client that asks.

        A refused connection is asked for once more, of what is in force by then, and of another variation if there is
        one: a roll-over may have stopped what was drawn. Nothing else is: who was slow may still be at it.
        """
        routes = self._find(attempt, find_routes)  # first of all: who is not known learns nothing about the rest
        rows = read_rows(read_message(), self._max_rows)
        choice = choose(self._breakers, attempt.client, routes, attempt.key)
        try:
            return self._ask(attempt, choice, rows)
        except Refused:
            self._metrics.retried(attempt.client, attempt.variation)
            routes = self._find(attempt, find_routes)
            again = choose(self._breakers, attempt.client, routes, attempt.key, refused=choice.route.url)
            return self._ask(attempt, again, rows)

    def _find(self, attempt: Attempt, find_routes: FindRoutes) -> list[Route]:
        attempt.client, routes = find_routes(self._database)
        return routes

    def _ask(self, attempt: Attempt, choice: Choice, rows: Rows) -> dict[str, Any]:
        route = choice.route
        attempt.variation = route.label
        for tried, breaker in choice.trials:
            threading.Thread(target=self._try, args=(tried, breaker, rows), daemon=True).start()
        with choice.breaker.watch():
            reply = self._upstream.predict(route, rows, attempt.puid)
            return prediction(reply, attempt.puid, len(rows.values), route.label, route.model_name)

    def _try(self, route: Route, breaker: Breaker, rows: Rows) -> None:
        """Send a variation that failed the first row of a request, and let its breaker learn from the answer."""
        puid, first = secrets.token_hex(20), Rows(rows.names, rows.values[:1])
        with suppress(ProxyError), breaker.watch():
            prediction(self._upstream.predict(route, first, puid), puid, 1, route.label, route.model_name)

    def _breaker_changed(self, client: str, variation: str, is_open: bool, why: str) -> None:
        self._metrics.breaker(client, variation, is_open=is_open)
        what = "gets no requests for now" if is_open else "gets its requests again"
        log.warning("variation %s of client %s %s: %s", variation, client, what, _one_line(why))

    def _count(self, attempt: Attempt, status: int) -> None:
        self._metrics.request(attempt.client, attempt.variation, status, perf_counter() - attempt.began)

    def _log_failure(self, attempt: Attempt, status: int, error: Exception) -> None:
        level = logging.WARNING if status >= 500 else logging.INFO
        if log.isEnabledFor(level):
            log.log(level, "prediction failed: %s reason=%s", _line(attempt, status), _reason(error))


def _status(error: Exception) -> int:
    """Return the status that an error is answered with; see ``answers``."""
    if isinstance(error, ProxyError):
        return error.status
    if isinstance(error, HTTPException):
        return error.code or 500
    return 503 if isinstance(error, OperationalError) else 500


def _line(attempt: Attempt, status: int) -> str:
    milliseconds = 1000 * (perf_counter() - attempt.began)
    return (
        f"puid={attempt.puid} client={attempt.client or '-'} variation={attempt.variation or '-'} "
        f"status={status} ms={milliseconds:.1f}"
    )


def _reason(error: Exception) -> str:
    """Return an error on one line; what others raised may say more than a log should hold, and is named only."""
    text = str(error) if isinstance(error, ProxyError) else type(error).__name__
    return repr(_one_line(text))


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:REASON_LENGTH])
