"""The detector called "auto": with labels the best of all that may judge the rows, without them iNNE.

Without labels but with times, the series itself chooses: `training.series_choice`.
"""

import numpy as np

from detectors import registry
from training.candidates import family, searchable
from training.features import Features

WITHOUT_LABELS = "inne"
"""The one that needs the least of the data: neither an order of rows, nor a radius, nor features of one unit. On the
public sets it finds the most without labels (docs/quality.md)."""

WHY = "rows have neither labels nor times, and it takes the least for granted"
"""What is told of it."""


def families(features: Features) -> tuple[str, ...]:
    """The detectors that may judge rows.

    Parameters
    ----------
    features : Features
        Training rows.

    Returns
    -------
    tuple of str
        Keys of the registry. Detectors of rows, unless values are missing; and those of series, but the ones that look
        at the order of rows only where times tell it.
    """
    whole = not np.isnan(features.values).any()
    return tuple(
        name
        for name, made_of in registry.DETECTORS.items()
        if searchable(name)
        and (whole if made_of.kind == "multivariate" else features.times is not None or family(name).order_free)
    )
