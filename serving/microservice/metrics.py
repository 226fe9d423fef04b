"""Metrics for Prometheus: counted without a lock, shown for all workers by whichever is asked."""

import math
import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from serving.microservice.board import Board
from serving.microservice.exposition import SharedMetrics
from serving.microservice.outcome import Outcome

if TYPE_CHECKING:
    from serving.detector_model import Judged

SECONDS: Final = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SCORES: Final = tuple(round(0.05 * k, 2) for k in range(1, 21))
_FROM: Final = np.array([-math.inf, *SCORES])
_FEW_SCORES: Final = 16  # up to here Python counts sooner than numpy
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
_OF_THE_FORMAT: Final = ("le", "__name__")
"""Labels that say something else in Prometheus' format."""


class Metrics(SharedMetrics):
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
        super().__init__(board, worker, labels, _HELP)

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
            self._rows(rows, method)

    def _rows(self, rows: int, method: str) -> None:
        slot = self._slots.get(("rows", method))
        if slot is None:
            slot = self._slots["rows", method] = self._custom_slot("COUNTER", "inlier_rows", method, {})
        if slot >= 0:
            self._values[slot] += rows

    def _judged(self, judged: "Judged", model: int) -> None:
        scores = judged.scores
        slot = self._slots.get("scores")
        if slot is None:
            slot = self._slots["scores"] = self._slot("histogram", "inlier_anomaly_score", {}, SCORES)
        if slot >= 0:
            values = self._values
            if len(scores) <= _FEW_SCORES:
                for score in scores.tolist():
                    values[slot + bisect_left(SCORES, score)] += 1.0
                    values[slot + len(SCORES) + 1] += score
            else:
                for index, count in enumerate(np.bincount(_bins(scores)).tolist(), slot):
                    values[index] += count
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
        name = _allowed(key)
        labels = {_allowed(str(label)): str(value) for label, value in tags.items()}
        labels = {f"_{label}" if label in _OF_THE_FORMAT else label: value for label, value in labels.items()}
        labels["method"] = method
        if kind == "COUNTER":
            return self._slot("counter", name if name.endswith("_total") else f"{name}_total", labels)
        if kind == "GAUGE":
            return self._slot("gauge", name, labels)
        return self._slot("histogram", name, labels, TIMER_SECONDS)

    def recent(self, d: int, model: int) -> Any:
        """The rows that all workers scored lately, with their scores: an array of shape (n, d + 1)."""
        return np.concatenate([part.remembered(d, model) for part in self._board.parts])


def _allowed(name: str) -> str:
    """A name as Prometheus allows it."""
    name = _NOT_IN_NAMES.sub("_", name)
    return f"_{name}" if not name or name[0].isdigit() else name


def _bins(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """For each score, how many edges of the histogram lie below it: a third of the time of searching for it."""
    bins = (scores * (len(SCORES) / SCORES[-1])).astype(np.intp)
    bins -= _FROM.take(bins) >= scores  # on an edge, or just below one and rounded up
    return bins
