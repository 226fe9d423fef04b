"""Metrics for Prometheus: counted without a lock, shown for all workers by whichever is asked."""

import logging
import math
import re
import time
from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from serving.microservice.board import Board, BoardFull, Part
from serving.microservice.component import Outcome

if TYPE_CHECKING:
    from serving.detector_model import Judged

_log = logging.getLogger("inlier.metrics")

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SCORES: Final = tuple(round(0.05 * k, 2) for k in range(1, 21))
TIMER_SECONDS: Final = tuple(float(edge) for edge in np.logspace(-3, math.log10(30), 50))
"""As Seldon Core's wrapper has them for TIMER metrics."""

_HELP: Final = {
    "inlier_requests_total": "Requests answered, by route and status.",
    "inlier_request_seconds": "From the end of a request's head to its answer.",
    "inlier_rows_total": "Rows scored.",
    "inlier_anomalies_total": "Rows found to be anomalies.",
    "inlier_anomaly_score": "Anomaly scores.",
    "inlier_recent_rows": "Rows scored lately, which drift is measured on.",
    "inlier_feature_drift": "Population stability index of a feature against training; above 0.2 it has changed.",
    "inlier_score_drift": "Population stability index of the scores against training.",
    "inlier_model_info": "What is served.",
    "process_start_time_seconds": "Start of the process that was asked, since the epoch.",
    "seldon_api_model_feedback_total": "Feedback received.",
    "seldon_api_model_feedback_reward_total": "Rewards of feedback, added up.",
}
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")


class Metrics:
    """One worker's counting, and the view of all.

    Parameters
    ----------
    board : Board
        Shared by all workers.
    worker : int
        Which part is this worker's.
    labels : dict of str to str
        On every metric, e.g. the deployment's name.
    """

    def __init__(self, board: Board, worker: int, labels: dict[str, str]) -> None:
        self._board = board
        self._part: Part = board.parts[worker]
        self._values = self._part.values
        self._labels = labels
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

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Parameters
        ----------
        route : str
            Its name.
        status : int
            Of the answer.
        seconds : float
            How long it took.
        """
        slots, values = self._slots, self._values
        slot = slots.get((route, status))
        if slot is None:
            slot = self._slot("counter", "inlier_requests_total", {"route": route, "status": str(status)})
            slots[route, status] = slot
        if slot >= 0:
            values[slot] += 1.0
        slot = slots.get(route)
        if slot is None:
            slot = slots[route] = self._slot("histogram", "inlier_request_seconds", {"route": route}, SECONDS)
        if slot >= 0:
            values[slot + bisect_left(SECONDS, seconds)] += 1.0
            values[slot + len(SECONDS) + 1] += seconds

    def outcome(self, outcome: Outcome, method: str, rows: int, model: int) -> None:
        """Count what a model gave: rows, scores, and the class's own metrics.

        Parameters
        ----------
        outcome : Outcome
            Of the call.
        method : str
            Which method was called.
        rows : int
            Of the request, counted unless the class counts its rows itself.
        model : int
            Which model it was.
        """
        if outcome.metrics:
            self.custom(outcome.metrics, method)
        if outcome.judged is not None:
            self._judged(outcome.judged, model)
        elif rows:
            self.custom([{"type": "COUNTER", "key": "inlier_rows", "value": rows}], method)

    def _judged(self, judged: "Judged", model: int) -> None:
        scores = judged.scores
        slot = self._slots.get("scores")
        if slot is None:
            slot = self._slots["scores"] = self._slot("histogram", "inlier_anomaly_score", {}, SCORES)
        if slot >= 0:
            values = self._values
            if len(scores) == 1:
                score = float(scores[0])
                values[slot + bisect_left(SCORES, score)] += 1.0
                values[slot + len(SCORES) + 1] += score
            else:
                counts = np.bincount(np.searchsorted(SCORES, scores))
                for index in np.flatnonzero(counts).tolist():
                    values[slot + index] += float(counts[index])
                values[slot + len(SCORES) + 1] += float(scores.sum())
        self._part.remember(judged.rows, scores, model)

    def custom(self, metrics: Iterable[dict[str, Any]], method: str) -> None:
        """Count metrics of the model class.

        Parameters
        ----------
        metrics : iterable of dict
            Checked.
        method : str
            Which method they came with, for the label.
        """
        values = self._values
        for metric in metrics:
            kind, value, tags = metric["type"], float(metric["value"]), metric.get("tags")
            quick = (kind, metric["key"], method, tuple(sorted(tags.items())) if tags else None)
            slot = self._slots.get(quick)
            if slot is None:
                slot = self._slots[quick] = self._custom_slot(kind, metric["key"], method, tags or {})
            if slot < 0:
                continue
            if kind == "COUNTER":
                values[slot] += value
            elif kind == "GAUGE":
                values[slot] = value
            else:  # milliseconds
                values[slot + bisect_left(TIMER_SECONDS, value / 1000)] += 1.0
                values[slot + len(TIMER_SECONDS) + 1] += value / 1000

    def _custom_slot(self, kind: str, key: str, method: str, tags: dict[str, Any]) -> int:
        name = _NOT_IN_NAMES.sub("_", key)
        name = f"_{name}" if not name or name[0].isdigit() else name
        labels = {_NOT_IN_NAMES.sub("_", str(label)): str(value) for label, value in tags.items()} | {"method": method}
        if kind == "COUNTER":
            return self._slot("counter", name if name.endswith("_total") else f"{name}_total", labels)
        if kind == "GAUGE":
            return self._slot("gauge", name, labels)
        return self._slot("histogram", name, labels, TIMER_SECONDS)

    def render(self, extra: Iterable[tuple[str, dict[str, str], float]] = ()) -> bytes:
        """All workers' metrics in Prometheus' text format.

        Parameters
        ----------
        extra : iterable of (name, labels, value)
            Gauges that are computed when asked for.

        Returns
        -------
        bytes
            For ``/metrics``.
        """
        families: dict[str, tuple[str, dict[Any, Any]]] = {}
        for worker, part in enumerate(self._board.parts):
            for entry in part.definitions():
                kind, name, labels = entry["type"], entry["name"], entry["labels"]
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
        lines = [f"# HELP {name} {_HELP.get(name, 'Of the model class.')}\n# TYPE {name} {kind}\n"]
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

    def recent(self, d: int, model: int) -> Any:
        """The rows that all workers scored lately, with their scores: an array of shape (n, d + 1)."""
        return np.concatenate([part.remembered(d, model) for part in self._board.parts])


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
