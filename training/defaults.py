"""What a detector is trained with when nobody says anything: one table."""

from typing import Any

TRAINING_PARAMETERS: dict[str, dict[str, Any]] = {}
"""Parameters by the detector's key in the registry, where they differ from those of its class."""


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
