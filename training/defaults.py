"""What a detector is trained with when nobody says anything: one table."""

from typing import Any

TRAINING_PARAMETERS: dict[str, dict[str, Any]] = {
    # No one sample size is right for all data, and none can be chosen without labels; a mix does well on most. Scaled,
    # the units of features don't matter, and long tails hide little (docs/quality.md).
    "inne": {
        "n_estimators": 250,
        "max_samples": (2, 4, 8, 16, 32),
        "max_features": 0.75,
        "scoring": "graded",
        "scaling": "absolute",
    },
}
"""Parameters by the detector's key in the registry, where they differ from those of its class; ``scaling`` is for all
detectors of rows (`detectors.scaling`)."""

DEMO_PARAMETERS: dict[str, dict[str, Any]] = {
    "inne": {"n_estimators": 100, "max_samples": 32, "max_features": None, "scoring": "isolation", "scaling": "none"},
}
"""What goes over these where a detector is shown on generated data: for iNNE what its published demo has."""


def training_parameters(detector: str) -> dict[str, Any]:
    """What `training.train.train` uses for a detector when nothing is given.

    Parameters
    ----------
    detector : str
        Its key in the registry.

    Returns
    -------
    dict
        A copy; the class's own defaults hold for what is not in it.
    """
    return dict(TRAINING_PARAMETERS.get(detector, {}))


def demo_parameters(detector: str) -> dict[str, Any]:
    """What goes over `training_parameters` where a detector is shown on generated data.

    Parameters
    ----------
    detector : str
        Its name in the registry, in any case.

    Returns
    -------
    dict
        A copy.
    """
    return dict(DEMO_PARAMETERS.get(detector.strip().lower(), {}))
