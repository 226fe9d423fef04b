"""What a model file holds: a fitted detector, and what is needed to feed it and to judge it."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import state
from detectors.base import Detector
from detectors.errors import InvalidState, UnknownFeatures
from detectors.registry import DETECTORS
from detectors.scaling import Scaled
from training import facts
from training.histograms import Histogram

FORMAT = 1
"""Raised when a file's layout changes; a reader refuses what is newer than itself."""

_BATCH = 64
"""Rows that a detector scores in another way than a single one."""

_SCHEMA: state.Schema = {
    "format": state.Scalar(int, low=1, high=FORMAT),
    "detector_name": state.Scalar(str),
    "facts": state.Scalar(str),
    "feature_edges": state.Array("float64", ("features", "edges")),
    "feature_counts": state.Array("int64", ("features", "bins"), low=0),
    "score_edges": state.Array("float64", ("score edges",)),
    "score_counts": state.Array("int64", ("score bins",), low=0),
}


@dataclass(eq=False, repr=False)
class Model:
    """A trained model.

    Attributes
    ----------
    detector : Detector
        Fitted on plain arrays, columns in the order of `feature_names`.
    detector_name : str
        Its key in the registry, e.g. ``"inne"``.
    feature_names : tuple of str
        The columns, as they were called in training.
    trained_at : str
        ISO 8601, UTC.
    n_rows : int
        Training rows.
    n_flagged : int
        How many of those counted in `score_histogram` are above the threshold.
    parameters : dict
        The detector's, as they are in force; plain JSON values.
    histograms : dict of str to Histogram
        Of each feature in training.
    score_histogram : Histogram
        Of the anomaly scores of the training rows; of evenly spaced ones where there were many.
    seed : int or None
        What the random numbers were drawn from.
    metrics : dict
        How well it did where labels were given; plain JSON values.
    versions : dict
        What it was made with.
    time_name : str or None
        What the time column was called, if there was one.
    time_unit : str or None
        ``"iso"``, or what its numbers counted since 1970: ``"s"``, ``"ms"``, ``"us"``, ``"ns"``.
    chosen_because : str or None
        Why this detector, where it was not asked for by name.
    """

    detector: Detector
    detector_name: str
    feature_names: tuple[str, ...]
    trained_at: str
    n_rows: int
    n_flagged: int
    parameters: dict[str, Any]
    histograms: dict[str, Histogram]
    score_histogram: Histogram
    seed: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=facts.current_versions)
    time_name: str | None = None
    time_unit: str | None = None
    chosen_because: str | None = None

    @property
    def title(self) -> str:
        """The detector's name as people know it."""
        return DETECTORS[self.detector_name].title

    @property
    def kind(self) -> str:
        """``"multivariate"`` or ``"univariate"``."""
        return type(self.detector).kind

    @property
    def threshold(self) -> float:
        """A row is an anomaly iff its score is above."""
        return self.detector.threshold_

    def __repr__(self) -> str:
        return f"<Model: {self.title}, {self.n_rows} rows, {len(self.feature_names)} features>"

    def arrange(self, X: npt.ArrayLike, names: Sequence[str] | None = None) -> npt.NDArray[Any]:
        """Put columns into the order of training.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.
        names : sequence of str, optional
            What the columns are called, in any order. Without names they are taken to be in the order of training.

        Returns
        -------
        ndarray of shape (n_rows, n_features)
            `X` itself where it was in order.

        Raises
        ------
        UnknownFeatures
            Names every missing, unknown and doubled feature.
        """
        rows = np.asarray(X)
        if names is None or len(names) == 0:
            if rows.ndim != 2 or rows.shape[1] != len(self.feature_names):
                raise UnknownFeatures(
                    f"rows of {len(self.feature_names)} numbers are expected ({_listed(self.feature_names)}), "
                    f"the shape is {rows.shape}"
                )
            return rows
        given = tuple(names)
        if given != self.feature_names:
            self._check_names(given)
        if rows.ndim != 2 or rows.shape[1] != len(given):
            raise UnknownFeatures(f"there are {len(given)} names for rows of shape {rows.shape}")
        if given == self.feature_names:
            return rows
        position = {name: index for index, name in enumerate(given)}
        return np.take(rows, [position[name] for name in self.feature_names], axis=1)

    def _check_names(self, given: tuple[str, ...]) -> None:
        wrong = []
        if missing := [name for name in self.feature_names if name not in given]:
            wrong.append(f"missing: {_listed(missing)}")
        if unknown := [name for name in given if name not in self.feature_names]:
            hints = [_with_nearest(str(name), missing or self.feature_names) for name in unknown[:10]]
            wrong.append(f"unknown: {', '.join(hints)}{_more(unknown)}")
        if doubled := [name for name in dict.fromkeys(given) if given.count(name) > 1]:
            wrong.append(f"more than once: {_listed(doubled)}")
        if wrong:
            raise UnknownFeatures(f"features {'; '.join(wrong)}")

    def warm_up(self) -> None:
        """Score one row and a batch, so that the kernels are compiled and loaded before somebody waits."""
        rows = np.stack([[histogram.edges[0] for histogram in self.histograms.values()]] * _BATCH)
        for count in (1, _BATCH):
            for options in self._ways_to_score(count):
                self.detector.anomaly_score(rows[:count], **options)
                self.detector.feature_contributions(rows[:count], **options)

    def _ways_to_score(self, count: int) -> list[dict[str, Any]]:
        if self.kind == "multivariate":
            return [{}]
        times = np.arange(count).astype("datetime64[s]").astype("datetime64[ns]") if self.time_name else None
        return [{"times": times}, {"times": times, "history": "fitted"}]

    def metadata(self) -> dict[str, Any]:
        """Everything but the detector's inside and the histograms, as plain JSON values.

        Returns
        -------
        dict
            For people and for APIs.
        """
        return {
            "detector": self.detector_name,
            "title": self.title,
            "kind": self.kind,
            "threshold": self.threshold,
            **self._facts(),
        }

    def _facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in facts.TYPES} | {"feature_names": list(self.feature_names)}

    def __getstate__(self) -> dict[str, Any]:
        # JSON for what varies in shape: read back, it can be nothing but plain values.
        plain = {
            "format": FORMAT,
            "detector_name": self.detector_name,
            "facts": json.dumps(self._facts(), allow_nan=False),
            "feature_edges": np.stack([self.histograms[name].edges for name in self.feature_names]),
            "feature_counts": np.stack([self.histograms[name].counts for name in self.feature_names]),
            "score_edges": self.score_histogram.edges,
            "score_counts": self.score_histogram.counts,
        }
        return {"detector": self.detector, **state.encode(plain)}

    def __setstate__(self, encoded: Any) -> None:
        if not isinstance(encoded, dict) or "detector" not in encoded:
            raise InvalidState("there is no detector in it")
        plain = state.decode({name: value for name, value in encoded.items() if name != "detector"})
        version = plain.get("format")
        if isinstance(version, int) and version > FORMAT:
            raise InvalidState(f"its format is {version}, this version of Inlier reads up to {FORMAT}")
        state.check(plain, _SCHEMA)
        detector = _checked_detector(encoded["detector"], plain["detector_name"])
        known = facts.parse(plain["facts"], detector.n_features_in_)
        vars(self).update(known, detector=detector, detector_name=plain["detector_name"])
        _check_histograms(plain, len(self.feature_names))
        self.histograms = {
            name: Histogram(edges, counts)
            for name, edges, counts in zip(
                self.feature_names, plain["feature_edges"], plain["feature_counts"], strict=True
            )
        }
        self.score_histogram = Histogram(plain["score_edges"], plain["score_counts"])


def _with_nearest(name: str, known: Sequence[str]) -> str:
    by_lower_case = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), by_lower_case, n=1)
    return f"{name!r} (nearest: {by_lower_case[near[0]]!r})" if near else repr(name)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:10]) + _more(names)


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 10} more" if len(names) > 10 else ""


def _checked_detector(detector: Any, name: str) -> Detector:
    if name not in DETECTORS:
        raise InvalidState(f"there is no detector {name!r}")
    if not isinstance(detector, Detector) or "threshold_" not in vars(detector):
        raise InvalidState("its detector is none, or has not been fitted")
    inner = detector.detector_ if type(detector) is Scaled else detector
    if type(inner) is not DETECTORS[name]:
        raise InvalidState(f"it holds a {type(inner).__name__} where {name} should be")
    return detector


def _check_histograms(plain: Mapping[str, Any], n_features: int) -> None:
    edges, counts = plain["feature_edges"], plain["feature_counts"]
    if len(edges) != n_features:
        raise InvalidState(f"it has {len(edges)} histograms for {n_features} features")
    pairs = ((edges, counts), (plain["score_edges"], plain["score_counts"]))
    for borders, heights in pairs:
        if borders.shape[-1] != heights.shape[-1] + 1 or not (borders[..., 1:] >= borders[..., :-1]).all():
            raise InvalidState("a histogram's edges do not fit its counts, or decrease")
