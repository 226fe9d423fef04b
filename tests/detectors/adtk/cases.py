"""Series and parameters on which verdicts are compared: the same bits under Python 3.8 with numpy 1.24 and here.

`RandomState` draws the same numbers in every version of numpy; what is drawn goes through sums and products alone.
"""

import itertools

import numpy as np

N_SERIES = 200
N_PERSIST = 40

IQR = [{"c": c} for c in (0.0, 0.5, 1.5, 3.0, (None, 1.0), (0.5, None), (2.0, 0.25))]
QUANTILE = [
    {"low": low, "high": high}
    for low, high in ((0.001, 0.999), (0.05, 0.95), (None, 0.9), (0.1, None), (0.5, 0.5), (0.0, 1.0), (0.29, 0.71))
]
PERSIST = [
    {"window": window, "c": c, "side": side, "agg": agg, "min_periods": least}
    for window, c, side, agg, least in itertools.product(
        (1, 2, 5, 24, "1h", "7min"),
        (0.0, 0.5, 3.0),
        ("both", "positive", "negative"),
        ("median", "mean"),
        (None, 1, 3),
    )
    if isinstance(window, str) or least is None or least <= window
]


def parameters(seed):
    """Class name and parameters of every detector that is run on a series."""
    picked = [PERSIST[(seed * N_PERSIST + step) % len(PERSIST)] for step in range(N_PERSIST)]
    return [
        *(("IQR", each) for each in IQR),
        *(("Quantile", each) for each in QUANTILE),
        *(("Persist", each) for each in picked),
    ]


def series(seed):
    """Values, stamps (int64 nanoseconds, unsorted, with duplicates) and how many rows are for training."""
    random = np.random.RandomState(seed)
    n_rows = random.randint(30, 240)
    values = _values(random, n_rows, seed % 6)
    spikes = random.randint(0, n_rows, size=random.randint(0, 5))
    values[spikes] += 20.0 * (random.random_sample(len(spikes)) - 0.5)
    if seed % 2:
        values = np.round(values * 4.0) / 4.0  # many ties
    values[random.random_sample(n_rows) < (0.0, 0.05, 0.3)[seed % 3]] = np.nan
    stamps = _stamps(random, n_rows, seed % 5)
    return values, stamps, n_rows if seed % 4 else n_rows * 3 // 5


def _values(random, n_rows, shape):
    noise = random.normal(size=n_rows)
    if shape == 0:
        return noise
    if shape == 1:
        return np.cumsum(noise)
    if shape == 2:
        return np.abs(np.arange(n_rows) % 48 - 24.0) + 0.5 * noise
    if shape == 3:
        return np.full(n_rows, 7.0)
    if shape == 4:
        return random.randint(0, 5, size=n_rows).astype(np.float64)
    return noise * noise * noise * 1e3


def _stamps(random, n_rows, shape):
    minute = 60 * 10**9
    steps = np.full(n_rows, 5 * minute, dtype=np.int64)
    if shape in (1, 4):  # gaps
        steps[random.randint(0, n_rows, size=3)] *= 30
    if shape in (2, 3):  # irregular
        steps = random.randint(1, 600, size=n_rows).astype(np.int64) * 10**9
    if shape in (3, 4):  # duplicates
        steps[random.randint(1, n_rows, size=n_rows // 8)] = 0
    stamps = np.int64(1_600_000_000 * 10**9) + np.cumsum(steps)
    return random.permutation(stamps) if shape == 4 or shape == 2 else stamps
