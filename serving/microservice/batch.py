"""Requests that arrived in the same turn of the event loop, judged by one call of the detector.

Most of what a request of one row costs is the same for eight rows: calls of numpy's, of the kernel, of the counters.
Nobody waits for company: what has arrived when the sockets have been read is judged, be it one request.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from serving.microservice.long_calls import LongCalls
from serving.microservice.messages import Few, Reply, Request, Route
from serving.microservice.outcome import Outcome
from serving.microservice.service import Service

_log = logging.getLogger("inlier.microservice")


@dataclass(slots=True)
class Waiting:
    """A request that waits for the end of the turn.

    Attributes
    ----------
    few : Few
        Its rows.
    request : Request
        All of it.
    route : Route
        What it asked for.
    path : str
        Where that is.
    began : float
        When it had arrived, as `time.perf_counter` has it.
    answer : callable
        Sends the answer.
    """

    few: Few
    request: Request
    route: Route
    path: str
    began: float
    answer: Callable[[Reply], None]


class Batch:
    """The requests of one turn of the event loop.

    Parameters
    ----------
    service : Service
        What is served.
    long_calls : LongCalls
        Told how long a call takes.
    answer_alone : callable
        Answers a request by itself, whatever happens.
    """

    def __init__(self, service: Service, long_calls: LongCalls, answer_alone: Callable[[Waiting], None]) -> None:
        self._service = service
        self._long_calls = long_calls
        self._answer_alone = answer_alone
        self._waiting: list[Waiting] = []

    def add(self, waiting: Waiting) -> None:
        """Answer a request together with others that arrive in this turn."""
        others = self._waiting
        if not others:
            asyncio.get_running_loop().call_soon(self.answer)
        elif not _go_together(others[0], waiting):
            self.answer()
        self._waiting.append(waiting)

    def answer(self) -> None:
        """Answer all that wait."""
        batch = self._waiting
        if not batch:
            return
        self._waiting = []
        size = sum([len(waiting.request.body) for waiting in batch])
        try:
            replies = self._long_calls.run_here(self._judge, batch, size)
        except Exception:  # noqa: BLE001 - alone, each is told what is wrong with it, and only with it
            for waiting in batch:
                self._answer_alone(waiting)
            return
        for waiting, reply in zip(batch, replies, strict=True):
            waiting.answer(reply)

    def _judge(self, batch: list[Waiting]) -> list[Reply]:
        component = batch[0].few.component
        user = component.user
        parts = [waiting.few.rows for waiting in batch]
        judged = user.judge(parts[0] if len(parts) == 1 else np.concatenate(parts))
        scores, labels = judged.scores.tolist(), judged.labels
        replies, first = [], 0
        for waiting, rows in zip(batch, parts, strict=True):
            until = first + len(rows)
            replies.append(waiting.few.reply(scores[first:until], labels[first:until]))
            first = until
        self._count(batch, replies, Outcome(None, metrics=user.metrics_of(labels), judged=judged, model=component.tag))
        return replies

    def _count(self, batch: list[Waiting], replies: list[Reply], outcome: Outcome) -> None:
        now, count = perf_counter(), self._service.count
        for waiting in batch:
            count(waiting.route.name, 200, now - waiting.began, None)
        self._service.count_outcome(batch[0].route.name, outcome)
        if self._service.settings.access_log:
            for waiting, reply in zip(batch, replies, strict=True):
                _log.info("POST %s %d %.2f ms %s", waiting.path, 200, (now - waiting.began) * 1e3, reply.puid)


def _go_together(one: Waiting, other: Waiting) -> bool:
    """Whether two requests are counted alike and, as the model may be replaced between them, meant for one model."""
    return one.few.component is other.few.component and one.route.name == other.route.name
