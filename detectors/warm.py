"""``python -m detectors.warm``: compile nearly every kernel into numba's cache, with nothing but this package.

An image is built in layers, and this package changes less often than those that stand on it. `serving.warm` adds what
only they compile.
"""

from typing import Any, Final

import numpy as np

from detectors.registry import DETECTORS

N_ROWS = 600

VARIANTS: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "inne": ({"max_samples": 8, "max_features": 2}, {"scoring": "graded", "max_samples": (2, 4)}),
    "persist": ({"window": 3}, {"window": 3, "agg": "mean"}, {"window": 101}, {"window": "1h", "agg": "mean"}),
}
"""Parameters that take other kernels than the defaults do."""


def warm(name: str) -> None:
    """Fit a detector, score and explain, as defaults and variants do.

    Parameters
    ----------
    name : str
        In the registry.
    """
    random = np.random.default_rng(0)
    of_series = DETECTORS[name].kind == "univariate"
    rows = random.normal(size=(N_ROWS, 1 if of_series else 4))
    times = np.arange(N_ROWS) * np.timedelta64(60, "s") + np.datetime64("2024-01-01", "ns")
    for parameters in ({}, *VARIANTS.get(name, ())):
        detector: Any = DETECTORS[name](**parameters)
        for stamps in (None, times) if of_series else (None,):
            if stamps is None and isinstance(parameters.get("window"), str):
                continue
            detector.fit(rows, **({} if stamps is None else {"times": stamps}))
            for count in (1, 64, N_ROWS):
                for options in _options(stamps, count, of_series):
                    detector.anomaly_score(rows[:count], **options)
                    detector.feature_contributions(rows[:count], **options)


def _options(times: Any, count: int, of_series: bool) -> list[dict[str, Any]]:
    if not of_series:
        return [{}]
    stamps = None if times is None else times[:count]
    return [{"times": stamps}, {"times": stamps, "history": "fitted"}]


if __name__ == "__main__":
    for each in DETECTORS:
        warm(each)
