"""Series of ten kinds with anomalies of six kinds planted, on which a choice of detector can be tried."""

import numpy as np

N_ROWS = 4000
LASTING = 60  # rows


def _autoregressive(random):
    values = random.normal(size=N_ROWS)
    for row in range(1, N_ROWS):
        values[row] += 0.95 * values[row - 1]
    return values


def _wave(length):
    return np.sin(np.arange(N_ROWS) * 2 * np.pi / length)


SERIES = {
    "noise": lambda random: random.normal(size=N_ROWS),
    "heavy-tailed noise": lambda random: random.standard_t(4, size=N_ROWS),
    "counts": lambda random: random.poisson(4, size=N_ROWS).astype(float),
    "random walk": lambda random: random.normal(size=N_ROWS).cumsum(),
    "autoregressive": _autoregressive,
    "season": lambda random: 3 * _wave(48) + 0.5 * random.normal(size=N_ROWS),
    "two seasons": lambda random: 3 * _wave(24) + 2 * _wave(168) + 0.4 * random.normal(size=N_ROWS),
    "smooth": lambda random: 3 * _wave(96) + 1.5 * _wave(32) + 0.05 * random.normal(size=N_ROWS),
    "square wave": lambda random: 5 * (np.arange(N_ROWS) // 144 % 2) + 0.3 * random.normal(size=N_ROWS),
    "trend and season": lambda random: np.linspace(0, 10, N_ROWS) + 2 * _wave(60) + 0.4 * random.normal(size=N_ROWS),
}

ANOMALIES = {
    "far values": 12,
    "values out of context": 12,
    "level shifts": 4,
    "flat stretches": 4,
    "bursts of noise": 4,
    "turned stretches": 4,
}
"""How many of each are planted."""


def planted(series, anomaly, seed):
    """A series and its labels, 1 = anomaly."""
    random = np.random.default_rng(seed)
    values = SERIES[series](random)
    labels = np.zeros(N_ROWS, dtype=int)
    spread, step = values.std(), np.diff(values).std()
    middle, reach = values.mean(), np.abs(values - values.mean()).max() + 3 * spread
    places = (np.linspace(0.15, 0.92, ANOMALIES[anomaly]) * N_ROWS).astype(int) + random.integers(-20, 20)
    for place in places:
        sign = random.choice([-1, 1])
        length = 1 if anomaly in ("far values", "values out of context") else LASTING
        stretch = values[place : place + length]  # a view: what is done to it is done to the series
        labels[place : place + length] = 1
        if anomaly == "far values":
            stretch[:] = middle + sign * reach
        elif anomaly == "values out of context":
            stretch += sign * 7 * step
        elif anomaly == "level shifts":
            stretch += sign * 3 * spread
        elif anomaly == "flat stretches":
            stretch[:] = stretch[0]
        elif anomaly == "bursts of noise":
            stretch += 3 * step * random.normal(size=length)
        else:
            stretch[:] = 2 * stretch.mean() - stretch[::-1]
    return values, labels
