"""With labels: the parameters whose verdicts agree best with them.

Every candidate is fitted once, on all rows; its limit (the radius, the factor, the threshold) is then chosen exactly,
at every place where a verdict changes. Cross-validation is over the labels: a fold's limit is chosen on the labels of
the other folds and judged on its own. That is as good as fitting again for each fold, at a fifth of the cost. The F1 on
the very labels that chose the limit claims too much; the cross-validated one is what to expect.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt

from detectors import registry
from detectors.base import Detector
from detectors.blocks import thread_count
from detectors.scaling import Scaled
from training import splits
from training.candidates import Trial, family, trials
from training.errors import JobStopped, TrainingError
from training.features import Features
from training.limits import Ranked

Progress = Callable[[float, str], None]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Candidate:
    """One way to train, and how well its verdicts agree with the labels.

    Attributes
    ----------
    detector : str
        Its key in the registry.
    scaling : str
        One of `detectors.scaling.SCALINGS`.
    parameters : dict
        The detector's, with the limit.
    limit : float
        The radius, factor, quantile or threshold that was chosen on all labels.
    f1 : float
        On all labels, those that chose the limit.
    f1_cross_validated : float or None
        On labels held out; None where there are too few.
    margin : float
        How far apart the values on both sides of the limit are, relatively.
    """

    detector: str
    scaling: str
    parameters: dict[str, Any]
    limit: float
    f1: float
    f1_cross_validated: float | None
    margin: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a report."""
        return {
            "scaling": self.scaling,
            "parameters": dict(self.parameters),
            "limit": self.limit,
            "f1": self.f1,
            "f1_cross_validated": self.f1_cross_validated,
        }


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to.

    Attributes
    ----------
    detector : Detector
        The best candidate, fitted on all rows: the model on which its limit was found.
    best : Candidate
        Which it is.
    candidates : tuple of Candidate
        All of them, the best first.
    seconds : float
        How long it took.
    """

    detector: Detector
    best: Candidate
    candidates: tuple[Candidate, ...]
    seconds: float

    def report(self) -> dict[str, Any]:
        """What a model's metrics say of the search, as plain values."""
        return {
            "f1": self.best.f1,
            "f1_cross_validated": self.best.f1_cross_validated,
            "n_candidates": len(self.candidates),
            "seconds": round(self.seconds, 3),
            "candidates": [candidate.as_dict() for candidate in self.candidates],
        }


def can_search(detector: str, labels: IntArray | None, parameters: Mapping[str, Any]) -> bool:
    """Whether labels can choose anything.

    Parameters
    ----------
    detector : str
        Its key in the registry.
    labels : ndarray of int64 or None
        1 = anomaly, 0 = not.
    parameters : mapping
        What is given by hand.

    Returns
    -------
    bool
        False without both labels, or if the limit is among the given parameters.
    """
    if labels is None or not 0 < int(labels.sum()) < len(labels):
        return False
    return not any(parameters.get(name, "auto") != "auto" for name in family(detector).limit)


def search(
    detector: str,
    features: Features,
    labels: IntArray,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    stopped: Callable[[], bool] | None = None,
    n_jobs: int | None = None,
) -> Found:
    """Try everything, keep the best.

    Parameters
    ----------
    detector : str
        Its key in the registry.
    features : Features
        Training rows.
    labels : ndarray of shape (n_rows,), int64
        1 = anomaly, 0 = not; some of both.
    parameters : mapping, optional
        What is given and not searched.
    seed : int
        Of the detector's random numbers and of the folds.
    progress : callable, optional
        Called with the share that is done and what was done last.
    stopped : callable, optional
        Asked between candidates whether to stop.
    n_jobs : int, optional
        How many to try at a time; by default as many as there are processors. joblib's backends apply: threads unless
        ``joblib.parallel_config`` says otherwise, Dask for instance.

    Returns
    -------
    Found
        The best by F1 on all labels, of equally good ones by cross-validated F1, then by the limit's margin.

    Raises
    ------
    TrainingError
        If nothing can be searched, or nothing can be fitted to the rows.
    JobStopped
        If `stopped` said so.

    Examples
    --------
    >>> from training.synthetic import clusters
    >>> found = search("dbscan", *clusters(seed=7))
    >>> found.best.f1
    1.0
    """
    started = time.perf_counter()
    given = dict(parameters or {})
    if not can_search(detector, labels, given):
        raise TrainingError("a search takes labels of both kinds, and parameters that leave something to choose")
    if seed is not None and "random_state" in registry.find(detector)().get_params(deep=False):
        given["random_state"] = seed
    folds = _folds(detector, features, labels, seed)
    tried = trials(detector, features, given)
    candidates: list[Candidate] = []
    with closing(_tried_side_by_side(tried, features, labels, folds, n_jobs)) as outcomes:
        for done, (trial, outcome) in enumerate(outcomes, 1):
            candidates += outcome
            if stopped is not None and stopped():
                raise JobStopped
            if progress is not None:
                progress(done / len(tried), _described(trial, outcome))
    ranked = sorted(candidates, key=lambda one: (-one.f1, -(one.f1_cross_validated or 0.0), -one.margin))
    best = ranked[0]
    return Found(fitted(best, features), best, tuple(ranked), time.perf_counter() - started)


def fitted(candidate: Candidate, features: Features) -> Detector:
    """Fit what a candidate describes.

    Parameters
    ----------
    candidate : Candidate
        Of a search on the same features.
    features : Features
        Training rows.

    Returns
    -------
    Detector
        The same bits as those the candidate was judged by.
    """
    made_of = registry.find(candidate.detector)
    detector: Any = made_of(**candidate.parameters)
    if candidate.scaling != "none":
        detector = Scaled(detector, candidate.scaling)
    try:
        if made_of.kind == "univariate":
            detector.fit(features.values, times=features.times)
        else:
            detector.fit(features.values)
    except ValueError as error:
        raise TrainingError(f"{made_of.title} on {features.source}: {error}") from error
    if family(candidate.detector).limit == ("contamination",):
        detector.threshold_ = candidate.limit
        if candidate.scaling != "none":
            detector.detector_.threshold_ = candidate.limit
    return detector  # type: ignore[no-any-return]


def _folds(detector: str, features: Features, labels: IntArray, seed: int) -> IntArray | None:
    if registry.find(detector).kind == "univariate":
        return splits.blocked(labels, features.times)
    return splits.stratified(labels, seed)


def _tried_side_by_side(
    tried: list[Trial], features: Features, labels: IntArray, folds: IntArray | None, n_jobs: int | None
) -> Generator[tuple[Trial, list[Candidate]], None, None]:
    wanted = True

    def calls() -> Iterator[Any]:  # taken a few at a time, so that hardly any are under way when nobody wants more
        for trial in tried:
            if wanted:
                yield joblib.delayed(_try)(trial, features, labels, folds)

    run = joblib.Parallel(n_jobs=n_jobs or thread_count(), prefer="threads", return_as="generator")
    outcomes = run(calls())
    try:
        yield from zip(tried, outcomes, strict=False)
    finally:
        wanted = False
        deque(outcomes, maxlen=0)


def _try(trial: Trial, features: Features, labels: IntArray, folds: IntArray | None) -> list[Candidate]:
    known, outcome = family(trial.detector), []
    try:
        for parameters, values in trial.values(features):
            ranked = Ranked.of(values, labels, folds, known.lowest)
            best = ranked.best()
            at_best = known.at(parameters, best.value)
            outcome.append(
                Candidate(
                    trial.detector, trial.scaling, at_best, best.value, best.f1, ranked.held_out_f1(), best.margin
                )
            )
    except ValueError as error:  # scikit-learn's word for wrong parameters and for wrong rows
        raise TrainingError(f"{registry.find(trial.detector).title} on {features.source}: {error}") from error
    return outcome


def _described(trial: Trial, outcome: list[Candidate]) -> str:
    best = max(outcome, key=lambda candidate: candidate.f1)
    scaling = "" if trial.scaling == "none" else f", {trial.scaling} scaling"
    shown = ", ".join(f"{name}={value}" for name, value in best.parameters.items() if name != "random_state")
    return f"{shown or 'defaults'}{scaling}: F1 {best.f1:.3f}"
