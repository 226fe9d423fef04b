"""Series that tests of several detectors judge."""

import numpy as np


def column(values):
    return np.asarray(values, dtype=np.float64)[:, np.newaxis]


def bumpy(n_rows=600, seed=0):
    random = np.random.default_rng(seed)
    values = np.sin(np.arange(n_rows) * 2 * np.pi / 25) + 0.1 * random.normal(size=n_rows)
    values[400:410] += 5.0
    return values
