"""With labels: the parameters whose verdicts agree best with them.

Every candidate is fitted once, on all rows; its limit (the radius, the factor, the threshold) is then chosen exactly,
at every place where a verdict changes. Cross-validation is over the labels: a fold's limit is chosen on the labels of
the other folds and judged on its own. With many rows that is as good as fitting again for each fold, at a fifth of the
cost; with few, a row weighs so much in what is fitted to it that what to expect is found by fitting again.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt

from detectors import registry
from detectors.base import Detector
from detectors.blocks import thread_count
from detectors.scaling import Scaled
from training import splits
from training.candidates import Trial, family, searchable, trials
from training.errors import JobStopped, TrainingError
from training.expectation import CONFIDENCE, Expected, merit, of_choice
from training.features import Features, unlearnable
from training.limits import HeldOut, Ranked, held_out_f1

Progress = Callable[[float, str], None]
IntArray = npt.NDArray[np.int64]

REFITTED_ROWS = 1000
"""Up to here, every candidate is fitted again without each fold to tell what to expect."""


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
    margin : float
        How far apart the values on both sides of the limit are, relatively.
    folds : tuple of HeldOut
        Its verdicts on labels held out; empty where there are too few.
    """

    detector: str
    scaling: str
    parameters: dict[str, Any]
    limit: float
    f1: float
    margin: float
    folds: tuple[HeldOut, ...] = ()

    @property
    def f1_cross_validated(self) -> float | None:
        """F1 on labels held out; of the best of many candidates it claims too much (`training.expectation`)."""
        return held_out_f1(self.folds)

    @property
    def merit(self) -> float:
        """What it is chosen by."""
        return float(merit(self.f1, self.f1_cross_validated))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a report."""
        return {
            "detector": self.detector,
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
    expected : Expected or None
        The F1 to expect on other rows; None where labels are too few to tell.
    seconds : float
        How long it took.
    """

    detector: Detector
    best: Candidate
    candidates: tuple[Candidate, ...]
    expected: Expected | None
    seconds: float

    def report(self) -> dict[str, Any]:
        """What a model's metrics say of the search, as plain values."""
        return {
            "f1": self.best.f1,
            "f1_cross_validated": None if self.expected is None else self.expected.f1,
            "f1_interval": None if self.expected is None else [self.expected.low, self.expected.high],
            "confidence": CONFIDENCE,
            "detector": self.best.detector,
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
        False without both labels, if nothing is known of the detector, or if the limit is among the given parameters.
    """
    if labels is None or not 0 < int(labels.sum()) < len(labels):
        return False
    if not searchable(detector):
        return False
    return not any(parameters.get(name, "auto") != "auto" for name in family(detector).limit)


def search(
    detector: str | Sequence[str],
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
    detector : str or sequence of str
        Its key in the registry, or those of several.
    features : Features
        Training rows.
    labels : ndarray of shape (n_rows,), int64
        1 = anomaly, 0 = not; some of both.
    parameters : mapping, optional
        What is given and not searched.
    seed : int
        Of the detectors' random numbers and of the folds.
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
        The best by the mean of F1 on all labels and on held-out ones; of equally good ones by the limit's margin.

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
    names = (detector,) if isinstance(detector, str) else tuple(detector)
    given = dict(parameters or {})
    if not names or not all(can_search(name, labels, given) for name in names):
        raise TrainingError("a search takes labels of both kinds, and parameters that leave something to choose")
    folds = _folds(names, features, labels, seed)
    again = _rows_stand_alone(names, features) and len(features) <= REFITTED_ROWS and folds is not None
    rounds = 1 + (int(folds.max()) + 1 if again and folds is not None else 0)
    tell = _Teller(progress, stopped, rounds)
    ranked = _ranked(names, features, labels, given, seed, folds, tell, n_jobs)
    expected: Expected | None
    if again and folds is not None:
        expected = _of_fitting_again(names, features, labels, given, seed, folds, tell, n_jobs)
    else:
        expected = of_choice([one.folds for one in ranked])
    return Found(fitted(ranked[0], features), ranked[0], ranked, expected, time.perf_counter() - started)


class _Teller:
    """Tells the progress of several rounds as one, and ends the search when it is to stop."""

    def __init__(self, progress: Progress | None, stopped: Callable[[], bool] | None, rounds: int) -> None:
        self._progress, self._stopped, self._rounds, self._done = progress, stopped, rounds, 0

    def at(self, share: float, trial: Trial, outcome: "list[Candidate]") -> None:
        if self._stopped is not None and self._stopped():
            raise JobStopped
        if self._progress is not None:
            self._progress((self._done + share) / self._rounds, _described(trial, outcome))
        self._done += share >= 1.0


def _ranked(
    names: Sequence[str],
    features: Features,
    labels: IntArray,
    given: Mapping[str, Any],
    seed: int,
    folds: IntArray | None,
    tell: _Teller,
    n_jobs: int | None,
) -> tuple[Candidate, ...]:
    """All candidates, the best first."""
    tried = [trial for name in names for trial in trials(name, features, _with_seed(name, given, seed))]
    candidates: list[Candidate] = []
    with closing(_tried_side_by_side(tried, features, labels, folds, n_jobs)) as outcomes:
        for done, (trial, outcome) in enumerate(outcomes, 1):
            candidates += outcome
            tell.at(done / len(tried), trial, outcome)
    return tuple(sorted(candidates, key=lambda one: (-one.merit, -one.margin)))


def _with_seed(name: str, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    draws = "random_state" in registry.find(name)().get_params(deep=False)
    return {**given, "random_state": seed} if draws else dict(given)


def _of_fitting_again(
    names: Sequence[str],
    features: Features,
    labels: IntArray,
    given: Mapping[str, Any],
    seed: int,
    folds: IntArray,
    tell: _Teller,
    n_jobs: int | None,
) -> Expected:
    """Search without each fold, and judge its rows by what was found."""
    n_found = n_flagged = 0
    for fold in range(int(folds.max()) + 1):
        seen = folds != fold
        rest = replace(features, values=np.ascontiguousarray(features.values[seen]))
        inner = splits.stratified(labels[seen], seed)
        best = _ranked(names, rest, labels[seen], given, seed, inner, tell, n_jobs)[0]
        flagged = fitted(best, rest).predict(features.values[~seen]) == -1
        n_found += int(labels[~seen][flagged].sum())
        n_flagged += int(flagged.sum())
    return Expected.of(n_found, n_flagged, int(labels.sum()))


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
        raise unlearnable(made_of.title, features, error) from error
    if family(candidate.detector).limit == ("contamination",):
        detector.threshold_ = candidate.limit
        if candidate.scaling != "none":
            detector.detector_.threshold_ = candidate.limit
    return detector  # type: ignore[no-any-return]


def _rows_stand_alone(names: Sequence[str], features: Features) -> bool:
    """Whether rows may be held out at random: they are no series, or at least none that anybody speaks of."""
    kinds = {registry.find(name).kind for name in names}
    return kinds == {"multivariate"} or (len(kinds) > 1 and features.times is None)


def _folds(names: Sequence[str], features: Features, labels: IntArray, seed: int) -> IntArray | None:
    if _rows_stand_alone(names, features):
        return splits.stratified(labels, seed)
    return splits.blocked(labels, features.times)


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
                Candidate(trial.detector, trial.scaling, at_best, best.value, best.f1, best.margin, ranked.held_out())
            )
    except ValueError as error:  # scikit-learn's word for wrong parameters and for wrong rows
        raise unlearnable(registry.find(trial.detector).title, features, error) from error
    return outcome


def _described(trial: Trial, outcome: list[Candidate]) -> str:
    best = max(outcome, key=lambda candidate: candidate.f1)
    scaling = "" if trial.scaling == "none" else f", {trial.scaling} scaling"
    shown = ", ".join(f"{name}={value}" for name, value in best.parameters.items() if name != "random_state")
    return f"{shown or 'defaults'}{scaling}: F1 {best.f1:.3f}"
