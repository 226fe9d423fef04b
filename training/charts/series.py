"""Charts of series: each with its limits and anomalies, the score of the rows below."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.charts.labels import judged, sorts
from training.charts.panels import Charts, Floats, Marks, Positions, TracePanel
from training.charts.reduce import gaps, out_of_reach, strongest, visible, within_reach

LINE_POINTS = 8_000
"""Of all lines of a kind together: several for each pixel, so that one can zoom in a little."""

MARKED = 15_000
"""Rows marked in a panel; a browser draws as many within a second."""

SHOWN_SERIES = 6
"""Panels that one can still look at."""


def series_charts(
    title: str,
    names: Sequence[str],
    values: Floats,
    scores: Floats,
    column_scores: Floats,
    threshold: float,
    times: npt.NDArray[np.datetime64] | None = None,
    low: Floats | None = None,
    high: Floats | None = None,
    labels: npt.NDArray[np.int64] | None = None,
    facts: Sequence[str] = (),
) -> Charts:
    """Lay out the charts of one or more series.

    Parameters
    ----------
    title : str
        The heading.
    names : sequence of str
        Of the columns.
    values : ndarray of shape (n_rows, n_columns), float64
        NaN is missing.
    scores : ndarray of shape (n_rows,), float64
        Of the rows; NaN where there is no verdict.
    column_scores : ndarray of shape (n_rows, n_columns), float64
        Of the values; NaN where there is no verdict.
    threshold : float
        Beyond which a row, or a value, is an anomaly.
    times : ndarray of datetime64 or None
        In any order; None for rows in order.
    low, high : ndarray of shape (n_rows, n_columns) or None
        The limits; infinite for an open side.
    labels : ndarray of int64 or None
        1 = anomaly.
    facts : sequence of str
        For the line below the heading.

    Returns
    -------
    Charts
        For `write_html` and `write_png`.
    """
    order = _order(times)
    truth = None if labels is None else labels.astype(bool)
    x = _positions(times, len(values))
    notes: list[str] = []
    columns = _shown(names, column_scores, threshold, notes)
    traces = [
        _trace(
            names[column],
            _ordered(x, order),
            within_reach(_ordered(values[:, column], order)),
            None if low is None else within_reach(_ordered(low[:, column], order)),
            None if high is None else within_reach(_ordered(high[:, column], order)),
            _ordered(column_scores[:, column], order),
            # A label belongs to a row, not to one of its columns.
            None if truth is None or len(names) > 1 else _ordered(truth, order),
            threshold,
            len(columns),
        )
        for column in columns
    ]
    flagged = scores > threshold
    traces.append(
        _score_trace(
            _ordered(x, order),
            _ordered(scores, order),
            threshold,
            sorts(_ordered(flagged, order), None if truth is None else _ordered(truth, order)),
        )
    )
    if len(values) > LINE_POINTS:
        notes.append(
            f"{len(values):,} rows; lines have up to {LINE_POINTS:,} points, the lowest and highest of each stretch."
        )
    notes += out_of_reach(np.stack([each[:, columns] for each in (values, low, high) if each is not None]))
    notes += thinned(traces)
    return Charts(
        title=title,
        facts=tuple(facts),
        notes=tuple(notes),
        x_title="row" if times is None else "time",
        traces=tuple(traces),
        judged=judged(truth, np.nan_to_num(scores), flagged),
    )


def marks(
    x: Positions, y: Floats, scores: Floats, marked: dict[str, npt.NDArray[np.bool_]], count: int
) -> tuple[Marks, ...]:
    """Points to draw on top.

    Parameters
    ----------
    x, y, scores : ndarray of shape (n,)
        Of all rows, in order.
    marked : dict of str to ndarray of bool
        Which rows are marked, by sort.
    count : int
        How many can be drawn.

    Returns
    -------
    tuple of Marks
        One of each sort; all rows, or if they are too many, the highest score of each stretch.
    """
    found = []
    for sort, rows in marked.items():
        drawable = rows & np.isfinite(y)
        chosen = strongest(drawable, scores, count // len(marked))
        found.append(Marks(sort, int(np.count_nonzero(drawable)), x[chosen], y[chosen]))
    return tuple(found)


def thinned(traces: Sequence[TracePanel]) -> list[str]:
    """Which marks are too many to draw, in words.

    Parameters
    ----------
    traces : sequence of TracePanel
        Of one page.

    Returns
    -------
    list of str
        Empty if every one is drawn.
    """
    return [
        f"{trace.title}: of {mark.total:,} rows marked “{mark.sort}”, {len(mark.x):,} are drawn: "
        "the one with the highest score in each stretch of rows."
        for trace in traces
        for mark in trace.marks
        if len(mark.x) < mark.total
    ]


def _score_trace(
    x: Positions, scores: Floats, threshold: float, marked: dict[str, npt.NDArray[np.bool_]]
) -> TracePanel:
    chosen, breaks = _chosen(x, scores, LINE_POINTS)
    return TracePanel(
        "Anomaly score",
        "anomaly score",
        *_broken(x, scores, chosen, breaks),
        joined=True,
        threshold=threshold,
        marks=marks(x, scores, scores, marked, MARKED),
    )


def _order(times: npt.NDArray[np.datetime64] | None) -> npt.NDArray[np.int64] | None:
    if times is None or (np.diff(times) >= np.timedelta64(0, "ns")).all():
        return None
    return np.argsort(times, kind="stable")


def _ordered(column: npt.NDArray[Any], order: npt.NDArray[np.int64] | None) -> npt.NDArray[Any]:
    return column if order is None else column[order]


def _positions(times: npt.NDArray[np.datetime64] | None, n_rows: int) -> Positions:
    return np.arange(1, n_rows + 1) if times is None else times


def _shown(names: Sequence[str], column_scores: Floats, threshold: float, notes: list[str]) -> list[int]:
    """The columns with most anomalies, in the order of the file."""
    if len(names) <= SHOWN_SERIES:
        return list(range(len(names)))
    counts = (column_scores > threshold).sum(axis=0)
    notes.append(f"{len(names)} series; the {SHOWN_SERIES} with most anomalies are shown.")
    return sorted(int(column) for column in np.argsort(-counts, kind="stable")[:SHOWN_SERIES])


def _trace(
    name: str,
    x: Positions,
    values: Floats,
    low: Floats | None,
    high: Floats | None,
    scores: Floats,
    truth: npt.NDArray[np.bool_] | None,
    threshold: float,
    n_columns: int,
) -> TracePanel:
    chosen, breaks = _chosen(x, values, LINE_POINTS // n_columns)
    return TracePanel(
        name,
        name,
        *_broken(x, values, chosen, breaks),
        joined=True,
        low=None if low is None else np.insert(low[chosen], breaks, np.nan),
        high=None if high is None else np.insert(high[chosen], breaks, np.nan),
        marks=marks(x, values, scores, sorts(scores > threshold, truth), MARKED // n_columns),
    )


def _chosen(x: Positions, y: Floats, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    chosen = visible(x, y, count)
    return chosen, gaps(y, chosen)


def _broken(
    x: Positions, y: Floats, chosen: npt.NDArray[np.int64], breaks: npt.NDArray[np.int64]
) -> tuple[Positions, Floats]:
    places = x[chosen]
    return np.insert(places, breaks, places[breaks]), np.insert(y[chosen], breaks, np.nan)
