"""Metrics that several processes count on a board, in Prometheus' text format."""

import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from serving.microservice.board import Board, BoardFull, Part

_log = logging.getLogger("inlier.metrics")

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

Samples = Iterable[tuple[str, dict[str, str], float]]
IsShown = Callable[[str, dict[str, str]], bool]


class SharedMetrics:
    """One worker's counting, and the view of all.

    Parameters
    ----------
    board : Board
        Shared by all workers.
    worker : int
        Which part is this worker's.
    labels : dict of str to str
        On every metric, e.g. the deployment's name.
    helps : dict of str to str
        A line of explanation by the name of a metric.
    """

    def __init__(self, board: Board, worker: int, labels: dict[str, str], helps: dict[str, str]) -> None:
        self._board = board
        self._part: Part = board.parts[worker]
        self._values = self._part.values
        self._labels = labels
        self._helps = helps
        self._worker = worker
        self._slots: dict[Any, int] = {}
        self._full = False
        self._started = time.time()
        for entry in self._part.definitions():  # of the worker whose place this one takes
            self._slots[_key(entry["type"], entry["name"], entry["labels"])] = entry["at"]

    def _slot(self, kind: str, name: str, labels: dict[str, str], edges: tuple[float, ...] = ()) -> int:
        key = _key(kind, name, labels)
        slot = self._slots.get(key)
        if slot is None:
            what = {"type": kind, "name": name, "labels": labels, "edges": edges}
            try:
                slot = self._part.define(what, len(edges) + 2 if edges else 1)
            except BoardFull:
                slot = -1
                if not self._full:
                    self._full = True
                    _log.error("there is no room for more metrics, %s is not counted", name)
            self._slots[key] = slot
        return slot

    def render(self, extra: Samples = (), is_shown: IsShown | None = None) -> bytes:
        """All workers' metrics in Prometheus' text format.

        Parameters
        ----------
        extra : iterable of (name, labels, value)
            Gauges that are computed when asked for.
        is_shown : callable, optional
            Told name and labels of what was counted; what it is about may be no more.

        Returns
        -------
        bytes
            For ``/metrics``.
        """
        families: dict[str, tuple[str, dict[Any, Any]]] = {}
        for worker, part in enumerate(self._board.parts):
            for entry in part.definitions():
                kind, name, labels = entry["type"], entry["name"], entry["labels"]
                if is_shown is not None and not is_shown(name, labels):
                    continue
                if kind == "gauge" and len(self._board.parts) > 1:
                    labels = labels | {"worker": str(worker)}
                at, width = entry["at"], len(entry["edges"]) + 2 if entry["edges"] else 1
                found = families.setdefault(name, (kind, {}))
                if found[0] != kind:  # one key as COUNTER and as TIMER: the first is shown
                    continue
                key = tuple(sorted(labels.items()))
                values = np.array(part.values[at : at + width])
                edges, before = found[1].get(key, (entry["edges"], 0.0))
                found[1][key] = (edges, before + values)
        for name, labels, value in [("process_start_time_seconds", {}, self._started), *extra]:
            families.setdefault(name, ("gauge", {}))[1][tuple(sorted(labels.items()))] = ((), np.array([value]))
        return "".join(self._family(name, *families[name]) for name in sorted(families)).encode()

    def _family(self, name: str, kind: str, samples: dict[Any, Any]) -> str:
        lines = [f"# HELP {name} {self._helps.get(name, 'Of the model class.')}\n# TYPE {name} {kind}\n"]
        for key, (edges, values) in samples.items():
            labels = [*self._labels.items(), *((label, text) for label, text in key if label not in self._labels)]
            if not edges:
                lines.append(f"{name}{_labels(labels)} {_number(values[0])}\n")
                continue
            total = 0.0
            for edge, count in zip([*edges, math.inf], values[:-1], strict=True):
                total += count
                lines.append(f"{name}_bucket{_labels([*labels, ('le', _number(edge))])} {_number(total)}\n")
            lines.append(f"{name}_sum{_labels(labels)} {_number(values[-1])}\n")
            lines.append(f"{name}_count{_labels(labels)} {_number(total)}\n")
        return "".join(lines)


def _key(kind: str, name: str, labels: dict[str, str]) -> tuple[Any, ...]:
    return kind, name, tuple(sorted(labels.items()))


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    text = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{text}}}" if text else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(int(value)) if value == int(value) else repr(float(value))
