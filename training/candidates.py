"""What the search tries for each detector, and the critical value of each training row: one fit judges every limit.

A candidate leaves one parameter open, its limit: the radius, the factor of the interquartile range, the quantile, the
threshold. Each row has a critical value, and is flagged iff the limit is below it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from detectors import kdtree
from detectors.base import RowDetector
from detectors.blocks import threads
from detectors.critical_radius import SMALLEST_RADIUS, critical_radii
from detectors.persist import Persist
from detectors.quantiles import quantiles
from detectors.registry import find
from detectors.scaling import SCALINGS, center_and_scale
from detectors.times import time_order
from training.defaults import training_parameters
from training.features import Features

FloatArray = npt.NDArray[np.float64]

SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
"""Sample sizes that iNNE is tried with."""

MOST_OF_ROWS = 1 / 16
"""Larger samples hold so many of the rows by which a threshold is chosen that it does not fit others: a row is its own
nearest centre there."""

_MIX = {"n_estimators": 250, "max_samples": SIZES[:5]}
_SUBSETS = ("sqrt", 0.75)

MIN_SAMPLES = tuple(range(2, 21))
"""What DBSCAN is tried with."""

WINDOWS = (1, 2, 3, 6, 12, 24, 48)
"""Rows that Persist looks back."""

SHAPES = (2, 6, 24)
"""Rows of windows that detectors of shapes are tried with, besides what they choose."""


@dataclass(frozen=True)
class Trial:
    """Candidates that come from one fit.

    Attributes
    ----------
    detector : str
        Its key in the registry.
    scaling : str
        One of `detectors.scaling.SCALINGS`.
    parameters : dict
        What this trial sets.
    """

    detector: str
    scaling: str
    parameters: dict[str, Any]

    def values(self, features: Features) -> Iterator[tuple[dict[str, Any], FloatArray]]:
        """Parameters of each candidate but the limit, and the critical value of each row (``-inf``: never flagged)."""
        rows = features.values
        if self.scaling != "none":
            center, scale = center_and_scale(rows, self.scaling)
            rows = (rows - center) / scale
        with threads(1):  # trials run side by side
            yield from family(self.detector).values(self.parameters, rows, features.times)


class Family:
    """What the search knows of a detector: of any that its scores have a threshold, which is the limit."""

    limit: ClassVar[tuple[str, ...]] = ("contamination",)
    """The parameters that a limit decides."""

    lowest: ClassVar[float] = 0.0
    """The smallest limit."""

    order_free: ClassVar[bool] = False
    """Whether a detector of series judges each value by itself, in whatever order they are."""

    def __init__(self, name: str) -> None:
        self.name = name

    def trials(self, n_rows: int) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002
        """Parameters to try, a fit each."""
        return [{}]

    def values(
        self,
        parameters: dict[str, Any],
        rows: FloatArray,
        times: Any,  # noqa: ARG002
    ) -> Iterator[tuple[dict[str, Any], FloatArray]]:
        """Candidates of one trial and their critical values."""
        yield parameters, find(self.name)(**parameters).fit(rows).anomaly_score(rows)

    def at(self, parameters: dict[str, Any], limit: float) -> dict[str, Any]:  # noqa: ARG002
        """The constructor's parameters with a limit; what is no parameter is left out."""
        return parameters


class _INNE(Family):
    """Sample sizes one by one, and mixes, of samples that look at some of the features each."""

    def trials(self, n_rows: int) -> Sequence[Mapping[str, Any]]:
        sizes = [size for size in SIZES if size <= n_rows * MOST_OF_ROWS] or [2]
        plain = [{"max_samples": size, "scoring": scoring} for scoring in ("isolation", "graded") for size in sizes]
        mixes = [
            {**_MIX, "max_features": subset, "scoring": scoring}
            for scoring in ("isolation", "graded")
            for subset in _SUBSETS
        ]
        return [training_parameters(self.name), *plain, *mixes]


class _DBSCAN(Family):
    """Every eps and `min_samples` from one neighbour query; the limit is eps."""

    limit = ("eps", "contamination")
    lowest = SMALLEST_RADIUS

    def values(
        self,
        parameters: dict[str, Any],
        rows: FloatArray,
        times: Any,  # noqa: ARG002
    ) -> Iterator[tuple[dict[str, Any], FloatArray]]:
        metric = parameters.get("metric", "euclidean")
        sizes = [parameters["min_samples"]] if "min_samples" in parameters else MIN_SAMPLES
        sizes = [size for size in sizes if size <= len(rows)] or [1]
        radii = critical_radii(kdtree.build(np.ascontiguousarray(rows), metric), metric, sizes)
        for min_samples, values in zip(sizes, radii, strict=True):
            yield {**parameters, "min_samples": min_samples}, values

    def at(self, parameters: dict[str, Any], limit: float) -> dict[str, Any]:
        return {**parameters, "eps": limit}


class _ByColumn(Family):
    """Detectors of series: a row's critical value is the largest of its columns'."""

    limit: ClassVar[tuple[str, ...]] = ("c",)

    def values(
        self, parameters: dict[str, Any], rows: FloatArray, times: Any
    ) -> Iterator[tuple[dict[str, Any], FloatArray]]:
        # Of rows with the same stamp the first counts, and the others get its verdict: as the detectors have it.
        order = None if times is None else time_order(times)
        if order is not None:
            rows, times = rows[order.kept], times[order.kept]
        columns = [self.column(parameters, np.ascontiguousarray(column), times) for column in rows.T]
        known = np.column_stack([np.where(np.isnan(column), -np.inf, column) for column in columns])
        values: FloatArray = known.max(axis=1)
        yield parameters, values if order is None else values[order.place]

    def column(self, parameters: dict[str, Any], column: FloatArray, times: Any) -> FloatArray:
        """Critical values of one column in time order; NaN without a verdict."""
        raise NotImplementedError


class _IQR(_ByColumn):
    order_free = True

    def trials(self, n_rows: int) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002
        return [{"side": side} for side in ("both", "high", "low")]

    def column(self, parameters: dict[str, Any], column: FloatArray, times: Any) -> FloatArray:  # noqa: ARG002
        if np.isnan(column).all():
            return column
        first, third = quantiles(column, [0.25, 0.75])
        above, below = _multiples(column - third, third - first), _multiples(first - column, third - first)
        return {"high": above, "low": below}.get(parameters["side"], np.maximum(above, below))

    def at(self, parameters: dict[str, Any], limit: float) -> dict[str, Any]:
        return {"c": {"both": limit, "high": (None, limit), "low": (limit, None)}[parameters["side"]]}


class _Quantile(_ByColumn):
    order_free = True
    limit = ("low", "high")

    def trials(self, n_rows: int) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002
        return [{"side": side} for side in ("both", "high", "low")]

    def column(self, parameters: dict[str, Any], column: FloatArray, times: Any) -> FloatArray:  # noqa: ARG002
        if np.isnan(column).all():
            return column
        known = np.sort(column[~np.isnan(column)])
        # x is above the quantile of share h iff all values from its first equal on are: h (n - 1) < rank.
        last = max(len(known) - 1, 1)
        above = np.searchsorted(known, column, side="left") / last
        below = 1.0 - (np.searchsorted(known, column, side="right") - 1) / last
        values = {"high": above, "low": below}.get(parameters["side"], np.maximum(above, below))
        return np.where(np.isnan(column), np.nan, values)

    def at(self, parameters: dict[str, Any], limit: float) -> dict[str, Any]:
        limit = min(limit, 1.0)
        if parameters["side"] == "both" and limit < 0.5:  # the two quantiles would cross
            limit = 0.5
        return {
            "low": None if parameters["side"] == "high" else 1.0 - limit,
            "high": None if parameters["side"] == "low" else limit,
        }


class _Persist(_ByColumn):
    def trials(self, n_rows: int) -> Sequence[Mapping[str, Any]]:
        return [
            {"window": window, "agg": agg, "side": side}
            for window in WINDOWS
            if window < n_rows
            for agg in (("median",) if window <= 2 else ("median", "mean"))  # of two values both are the same
            for side in ("both", "positive", "negative")
        ]

    def column(self, parameters: dict[str, Any], column: FloatArray, times: Any) -> FloatArray:
        rows = column[:, np.newaxis]
        try:
            detector = Persist(**{**parameters, "c": 0.0}).fit(rows, times=times)
        except ValueError:  # gaps leave no window whole; what else is wrong, the fit of the best candidate will say
            return np.full(len(column), np.nan)
        changes = (rows - detector.limits(rows, times=times).mid)[:, 0]
        first, third = quantiles(np.abs(changes), [0.25, 0.75])
        values = _multiples(np.abs(changes) - third, third - first)
        if parameters["side"] == "both":
            return values
        wanted = changes > 0 if parameters["side"] == "positive" else changes < 0
        return np.where(wanted, values, -np.inf)

    def at(self, parameters: dict[str, Any], limit: float) -> dict[str, Any]:
        return {**parameters, "c": limit}


class _Windows(_ByColumn):
    """Detectors of shapes; the limit is a factor of the interquartile range of the errors of windows."""

    def column(self, parameters: dict[str, Any], column: FloatArray, times: Any) -> FloatArray:
        rows = column[:, np.newaxis]
        detector: Any = find(self.name)(**{**parameters, "c": 0.0})
        try:
            errors = detector.fit(rows, times=times).errors(rows, times=times)[:, 0]
        except ValueError:  # as for Persist
            return np.full(len(column), np.nan)
        first, third = quantiles(errors, [0.25, 0.75])
        return _multiples(errors - third, third - first)

    def at(self, parameters: dict[str, Any], limit: float) -> dict[str, Any]:
        return {**parameters, "c": max(limit, 0.0)}


class _POLY(_Windows):
    def trials(self, n_rows: int) -> Sequence[Mapping[str, Any]]:
        return [
            {"window": window, "span": span, "degree": degree}
            for window in ("auto", *(rows for rows in SHAPES if rows <= n_rows))
            for span in (2, 10)
            for degree in (0, 1, 3)
        ]


class _SubPCA(_Windows):
    def trials(self, n_rows: int) -> Sequence[Mapping[str, Any]]:
        windows = ("auto", *(rows for rows in SHAPES if rows <= n_rows))
        return [{"window": window, "n_components": count} for window in windows for count in (1, 3, 10)]


def _multiples(beyond: FloatArray, spread: float) -> FloatArray:
    """How many times a spread; without spread everything beyond is infinitely far."""
    if spread > 0.0:
        return beyond / spread
    return np.where(beyond > 0.0, np.inf, -np.inf)


_FAMILIES: dict[str, type[Family]] = {
    "inne": _INNE,
    "dbscan": _DBSCAN,
    "iqr": _IQR,
    "quantile": _Quantile,
    "persist": _Persist,
    "poly": _POLY,
    "subpca": _SubPCA,
}


def family(detector: str) -> Family:
    """What the search knows of a detector.

    Parameters
    ----------
    detector : str
        Its key in the registry.

    Returns
    -------
    Family
        One of its own, or the one of all detectors of rows.
    """
    return _FAMILIES.get(detector, Family)(detector)


def searchable(detector: str) -> bool:
    """Whether the search knows how to choose a limit.

    Parameters
    ----------
    detector : str
        Its key in the registry.

    Returns
    -------
    bool
        True for any detector of rows, which has a threshold; one of series needs a family of its own.
    """
    return detector in _FAMILIES or find(detector).kind == "multivariate"


def trials(detector: str, features: Features, fixed: Mapping[str, Any]) -> list[Trial]:
    """All there is to try.

    Parameters
    ----------
    detector : str
        Its key in the registry.
    features : Features
        Training rows.
    fixed : mapping
        Parameters that are given, ``scaling`` perhaps among them; none of them is what the limit decides.

    Returns
    -------
    list of Trial
        Scaling one column, or the columns of series, which are judged one by one, changes no verdict: it is not tried.
    """
    scaled = issubclass(find(detector), RowDetector) and features.values.shape[1] > 1
    scalings = (fixed["scaling"],) if "scaling" in fixed else SCALINGS if scaled else ("none",)
    distinct: dict[str, dict[str, Any]] = {}
    for tried in family(detector).trials(len(features)):
        parameters = {name: value for name, value in {**tried, **fixed}.items() if name != "scaling"}
        distinct.setdefault(repr(sorted(parameters.items(), key=lambda item: item[0])), parameters)
    return [Trial(detector, scaling, each) for scaling in scalings for each in distinct.values()]
