"""From features to a model."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import registry
from detectors.base import Detector, RowDetector
from detectors.scaling import Scaled
from training import auto
from training.defaults import training_parameters
from training.errors import TrainingError
from training.features import Features, unlearnable
from training.histograms import Histogram
from training.metrics import evaluate
from training.model import Model
from training.predictions import training_scores
from training.search import can_search
from training.search import search as best_of
from training.series_choice import choose, is_auto

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and what is being done now."""

SCORED_ROWS = 50_000
"""Rows whose scores make the histogram, evenly spaced where there are more: scoring all can outlast fitting."""


def train(
    detector: str,
    features: Features,
    labels: npt.NDArray[np.int64] | None = None,
    parameters: Mapping[str, Any] | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    stopped: Callable[[], bool] | None = None,
    search: bool | None = None,
) -> Model:
    """Train a detector: with labels the one whose verdicts agree best with them, without by `training.defaults`.

    Of "auto", labels also choose which detector (`training.auto.families` are searched); without labels the series
    itself does where rows have times (`training.series_choice`), and of rows that stand alone it is iNNE.

    Parameters
    ----------
    detector : str
        Its name in the registry, or "auto"; in any case.
    features : Features
        Training rows.
    labels : ndarray of int64, optional
        1 = anomaly, as many as rows. The model's metrics are computed from them.
    parameters : mapping, optional
        The detector's own, and for rows that stand alone ``scaling`` (`detectors.scaling`); they go over those of
        `training.defaults`, and are not searched.
    seed : int, optional
        What random numbers are drawn from, for a detector that draws any.
    progress : callable, optional
        Called with the share that is done and what is being done.
    stopped : callable, optional
        Asked between a search's candidates whether to stop.
    search : bool, optional
        Whether labels choose parameters, scaling and threshold (`training.search`). By default they do unless
        parameters are given.

    Returns
    -------
    Model
        The trained model. After a search its metrics have ``search``: the F1 to expect on other rows with an interval,
        and every candidate's F1, in sample and cross-validated.

    Raises
    ------
    detectors.errors.UnknownDetector
        If there is no such detector.
    TrainingError
        For unknown parameters or wrong values, and for rows it cannot learn from.
    JobStopped
        If `stopped` said so.

    Examples
    --------
    >>> from training.synthetic import clusters
    >>> features, labels = clusters(seed=7)
    >>> model = train("inne", features, labels, seed=7, search=False)
    >>> model.title, model.n_rows, model.metrics["roc_auc"]
    ('iNNE', 3005, 1.0)
    """
    report = progress or _nobody
    names = auto.families(features) if is_auto(detector) else (registry.find(detector).__name__.lower(),)
    _check_labels(features, labels)
    given = _given(detector, names, dict(parameters or {}), seed)
    searched = why = None
    if labels is not None and (search or (search is None and not parameters)) and can_search(names[0], labels, given):
        seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        searched = best_of(names, features, labels, given, seed, lambda done, doing: report(0.6 * done, doing), stopped)
        name, estimator = searched.best.detector, searched.detector
    else:
        name, why = _without_search(detector, names, features)
        made_of = registry.find(name)
        estimator = make(made_of, training_parameters(name) | checked_parameters(made_of, given, seed))
        report(0.0, f"fitting {made_of.title} on {len(features)} rows")
        fit(estimator, features)
    report(0.6, "scoring training rows")
    scored = None if labels is not None or estimator.kind == "univariate" else _evenly_spaced(len(features))
    scores = training_scores(estimator, features, scored)
    report(0.9, "counting values")
    metrics = {} if labels is None else evaluate(labels, scores, estimator.threshold_)
    if searched is not None:
        metrics["search"] = _plain(searched.report())
    model = Model(
        detector=estimator,
        detector_name=name,
        feature_names=features.names,
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        n_rows=len(features),
        n_flagged=int((scores > estimator.threshold_).sum()),
        parameters=_plain(parameters_in_force(estimator)),
        histograms={
            column: Histogram.of_feature(values)
            for column, values in zip(features.names, features.values.T, strict=True)
        },
        score_histogram=Histogram.of_scores(scores),
        seed=seed,
        metrics=metrics,
        time_name=features.time_name,
        time_unit=features.time_unit,
        chosen_because=why,
    )
    report(1.0, "done")
    return model


def reading_options(detector: str) -> dict[str, Any]:
    """How `training.data.read_features` reads a file for a detector.

    Parameters
    ----------
    detector : str
        Its name in the registry, or "auto".

    Returns
    -------
    dict
        Keyword arguments: values of a series may be missing.
    """
    return {"missing": is_auto(detector) or registry.find(detector).kind == "univariate"}


def fit(detector: Detector, features: Features) -> None:
    """Fit a detector to features, with their times if it is one of series.

    Parameters
    ----------
    detector : Detector
        Changed in place.
    features : Features
        Training rows.

    Raises
    ------
    TrainingError
        For wrong parameters, and for rows it cannot learn from.
    """
    times: Any = {"times": features.times} if detector.kind == "univariate" else {}
    try:
        detector.fit(features.values, **times)
    except ValueError as error:  # scikit-learn's word for wrong parameters and for wrong rows
        title = (detector.detector if isinstance(detector, Scaled) else detector).title
        raise unlearnable(title, features, error) from error


def make(made_of: type[Detector], parameters: Mapping[str, Any]) -> Detector:
    """Make a detector, with ``scaling`` among its parameters a scaled one.

    Parameters
    ----------
    made_of : type
        A detector class.
    parameters : mapping
        By name, known ones only.

    Returns
    -------
    Detector
        Not fitted.
    """
    own = {name: value for name, value in parameters.items() if name != "scaling"}
    detector: Any = made_of(**own)
    scaling = parameters.get("scaling", "none")
    return detector if scaling == "none" else Scaled(detector, scaling)


def parameters_in_force(detector: Detector) -> dict[str, Any]:
    """A detector's parameters; of a scaled one also which scaling.

    Parameters
    ----------
    detector : Detector
        Fitted or not.

    Returns
    -------
    dict
        By name.
    """
    if isinstance(detector, Scaled):
        return {**detector.detector.get_params(deep=False), "scaling": detector.scaling}
    return dict(detector.get_params(deep=False))


def checked_parameters(made_of: type[Detector], parameters: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    """The constructor's arguments: known names only, the seed among them if the detector takes one.

    Parameters
    ----------
    made_of : type
        A detector class.
    parameters : mapping
        By name.
    seed : int or None
        For ``random_state``.

    Returns
    -------
    dict
        For the constructor. Values are checked by `fit`.

    Raises
    ------
    TrainingError
        Names the unknown ones and the nearest known.
    """
    known = list(inspect.signature(made_of).parameters)
    if issubclass(made_of, RowDetector):
        known.append("scaling")
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'none'}"
            raise TrainingError(f"{made_of.title} has no parameter {name!r}; {hint}")
    checked = dict(parameters)
    if seed is not None and "random_state" in known:
        if checked.get("random_state", seed) != seed:
            raise TrainingError(f"the seed is {seed}, random_state is {checked['random_state']}: give one of them")
        checked["random_state"] = seed
    return checked


def _given(detector: str, names: Sequence[str], parameters: dict[str, Any], seed: int | None) -> dict[str, Any]:
    if not is_auto(detector):
        return checked_parameters(registry.find(names[0]), parameters, seed)
    if parameters:
        raise TrainingError(f"auto chooses the detector and its parameters, so it takes no {next(iter(parameters))!r}")
    return {}


def _without_search(detector: str, names: Sequence[str], features: Features) -> tuple[str, str | None]:
    """The detector, and why it was chosen if it was."""
    if not is_auto(detector):
        return names[0], None
    if features.times is not None:
        return choose(features)
    if auto.WITHOUT_LABELS not in names:
        title = registry.find(auto.WITHOUT_LABELS).title
        column = features.names[int(np.isnan(features.values).any(axis=0).argmax())]
        raise TrainingError(
            f"values are missing in {features.source}, as in its column {column!r}; without labels auto is "
            f"{title}, which takes none: name a detector of series"
        )
    return auto.WITHOUT_LABELS, auto.WHY


def _nobody(share: float, doing: str) -> None:
    """Watch no progress."""


def _check_labels(features: Features, labels: npt.NDArray[np.int64] | None) -> None:
    if labels is not None and len(labels) != len(features):
        raise TrainingError(f"there are {len(labels)} labels for {len(features)} rows of {features.source}")


def _evenly_spaced(n_rows: int) -> npt.NDArray[np.int64] | None:
    if n_rows <= SCORED_ROWS:
        return None
    return np.linspace(0, n_rows - 1, SCORED_ROWS).astype(np.int64)


def _plain(value: Any) -> Any:
    """Parameters as JSON has them; what it has no word for, as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and np.isfinite(value):
        return value
    return str(value)
