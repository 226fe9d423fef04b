"""Charts of rows that stand alone: their scores, where they lie, and which features did it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from training.charts.labels import judged, sorts
from training.charts.panels import BarPanel, Charts, Floats, MapPanel, Marks, TracePanel
from training.charts.reduce import out_of_reach, strongest, within_reach
from training.charts.series import MARKED, marks, thinned

NORMAL_ROWS = 5_000
"""Rows drawn that are no anomalies."""

FITTED_NUMBERS = 1_000_000
"""Numbers, rows times features, that the projection is found from; as many are projected at a time."""

SHOWN_FEATURES = 12


def row_charts(
    title: str,
    names: Sequence[str],
    values: Floats,
    scores: Floats,
    threshold: float,
    contributions: Floats | None = None,
    explained: str = "anomalies",
    labels: npt.NDArray[np.int64] | None = None,
    facts: Sequence[str] = (),
) -> Charts:
    """Lay out the charts of rows.

    Parameters
    ----------
    title : str
        The heading.
    names : sequence of str
        Of the features.
    values : ndarray of shape (n_rows, n_features), float64
        Finite.
    scores : ndarray of shape (n_rows,), float64
        In [0, 1].
    threshold : float
        Beyond which a row is an anomaly.
    contributions : ndarray of shape (n_features,) or None
        How much each feature did to the scores, adding up to 1.
    explained : str
        Of which rows the contributions are.
    labels : ndarray of int64 or None
        1 = anomaly.
    facts : sequence of str
        For the line below the heading.

    Returns
    -------
    Charts
        For `write_html` and `write_png`.
    """
    truth = None if labels is None else labels.astype(bool)
    flagged = scores > threshold
    marked = sorts(flagged, truth)
    # Rows that have no neighbours make no line: as they come, not the highest and lowest.
    normal = _spread(np.flatnonzero(~flagged), NORMAL_ROWS)
    x = np.arange(1, len(scores) + 1)
    trace = TracePanel(
        "Anomaly score",
        "anomaly score",
        x[normal],
        scores[normal],
        joined=False,
        threshold=threshold,
        marks=marks(x, scores, scores, marked, MARKED),
    )
    maps: list[MapPanel | BarPanel] = [_map(names, values, scores, threshold, marked)]
    if contributions is not None and len(names) > 1:
        maps.append(_drivers(names, contributions, explained))
    notes = [*(out_of_reach(values) if len(names) == 1 else []), *thinned([trace])]
    if len(normal) < (n_normal := len(scores) - int(np.count_nonzero(flagged))):
        notes.insert(0, f"Of {n_normal:,} normal rows, {len(normal):,} are drawn, evenly spaced in the file.")
    return Charts(
        title=title,
        facts=tuple(facts),
        notes=tuple(notes),
        x_title="row",
        traces=(trace,),
        maps=tuple(maps),
        judged=judged(truth, scores, flagged),
    )


def _map(
    names: Sequence[str],
    values: Floats,
    scores: Floats,
    threshold: float,
    marked: dict[str, npt.NDArray[np.bool_]],
) -> MapPanel:
    unmarked = np.flatnonzero(~np.logical_or.reduce(list(marked.values())))
    count = MARKED // len(marked)
    rows = np.concatenate(
        [_spread(unmarked, NORMAL_ROWS), *(strongest(each, scores, count) for each in marked.values())]
    )
    rows = rows[np.argsort(scores[rows], kind="stable")]
    if values.shape[1] == 1:
        title, x_title, y_title = "Score by value", names[0], "anomaly score"
        x, y = within_reach(values[rows, 0]), scores[rows]
    else:
        places, explained = project(values, rows)
        title, x_title = "Principal components", f"component 1 ({explained[0]:.0%} of the variance)"
        y_title = f"component 2 ({explained[1]:.0%})"
        x, y = places[:, 0], places[:, 1]
    rings = tuple(
        Marks(sort, int(np.count_nonzero(each)), x[each[rows]], y[each[rows]]) for sort, each in marked.items()
    )
    return MapPanel(title, x_title, y_title, x, y, scores[rows], threshold, rings)


def project(values: Floats, rows: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Project rows on the two directions in which the data, each feature on its own scale, vary most.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features), float64
        All rows; the directions are found from some of them, evenly spaced.
    rows : ndarray of int64
        Which to project.

    Returns
    -------
    tuple of ndarray
        Places of shape (n, 2), and the share of the variance of each of the two.
    """
    n_features = values.shape[1]
    sample = values[_spread(np.arange(len(values)), max(2, FITTED_NUMBERS // n_features))]
    largest = np.maximum(np.abs(sample).max(axis=0), np.finfo(float).tiny)  # the square of 1e200 would be infinite
    sample = sample / largest
    centre, scale = sample.mean(axis=0), sample.std(axis=0)
    scale = np.where(scale > 1e-12, scale, 1.0)  # a constant feature stays 0
    places, shares = np.zeros((len(rows), 2)), np.zeros(2)
    if len(sample) < 2 or n_features < 2 or not (sample != sample[0]).any():
        return places, shares
    found = PCA(n_components=2, random_state=0).fit((sample - centre) / scale)
    step = max(1, FITTED_NUMBERS // n_features)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        places[part] = found.transform((values[rows[part]] / largest - centre) / scale)
    return places, found.explained_variance_ratio_


def _spread(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def _drivers(names: Sequence[str], contributions: Floats, explained: str) -> BarPanel:
    order = np.argsort(-contributions, kind="stable")
    shown = order[:SHOWN_FEATURES]
    labels = [names[feature] for feature in shown]
    shares = contributions[shown]
    if len(order) > SHOWN_FEATURES:
        rest = order[SHOWN_FEATURES:]
        labels.append(f"{len(rest)} others")
        shares = np.append(shares, contributions[rest].sum())
    return BarPanel(
        f"What drives the {explained}", "share of the score", tuple(labels), shares, len(order) > len(shown)
    )
