"""Generated data with known anomalies: clusters of rows, and a series in time.

numpy keeps the streams of `RandomState` the same bits in every version, those of its newer generators not.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.errors import TrainingError
from training.features import Features

Labels = npt.NDArray[np.int64]

_SECOND = 10**9


def clusters(
    centres: Sequence[float] | npt.NDArray[np.float64] = (2.0, 4.0, 6.0),
    n_per_cluster: int = 1000,
    n_features: int = 4,
    spread: float = 0.1,
    n_anomalies: int = 5,
    anomaly_centre: float | Sequence[float] = 0.0,
    anomaly_spread: float = 0.1,
    seed: int | None = 0,
) -> tuple[Features, Labels]:
    """Gaussian clusters, and a few rows from elsewhere.

    The defaults are the data of the iNNE demo: 1000 rows around each of 2, 4 and 6 in four dimensions with standard
    deviation 0.1, then 5 around 0.

    Parameters
    ----------
    centres : sequence of float, or array of shape (n_clusters, n_features)
        Where the clusters are; a number stands for itself in every dimension.
    n_per_cluster : int
        Rows of each cluster.
    n_features : int
        Dimensions; the features are called f1, f2, ...
    spread : float
        Standard deviation of a cluster in each dimension.
    n_anomalies : int
        Rows from elsewhere; they come last.
    anomaly_centre : float or sequence of float
        Where that is.
    anomaly_spread : float
        Their standard deviation in each dimension.
    seed : int or None
        The same seed gives the same bits; None gives others every time.

    Returns
    -------
    features : Features
        Cluster after cluster, then the anomalies.
    labels : ndarray of int64
        1 = anomaly.

    Raises
    ------
    TrainingError
        For no rows, negative numbers, or centres of another dimension.

    Examples
    --------
    >>> features, labels = clusters(seed=7)
    >>> features.values.shape, features.names, int(labels.sum())
    ((3005, 4), ('f1', 'f2', 'f3', 'f4'), 5)
    """
    _not_negative(n_per_cluster=n_per_cluster, n_anomalies=n_anomalies, spread=spread, anomaly_spread=anomaly_spread)
    if n_features < 1:
        raise TrainingError(f"n_features is {n_features}, at least 1 is needed")
    random = np.random.RandomState(seed)
    middle = _points(centres, n_features, "centres")
    elsewhere = _points(
        np.atleast_2d(anomaly_centre) if np.ndim(anomaly_centre) else anomaly_centre, n_features, "anomaly_centre"
    )
    inside = np.repeat(middle, n_per_cluster, axis=0)
    outside = np.repeat(elsewhere, n_anomalies, axis=0)
    if len(inside) + len(outside) == 0:
        raise TrainingError("no rows are asked for")
    values = np.concatenate(
        [
            inside + spread * random.standard_normal(inside.shape),
            outside + anomaly_spread * random.standard_normal(outside.shape),
        ]
    )
    labels = np.repeat(np.array([0, 1], np.int64), [len(inside), len(outside)])
    names = tuple(f"f{index}" for index in range(1, n_features + 1))
    return Features(values, names, source="synthetic clusters"), labels


def series(
    n_rows: int = 2000,
    n_series: int = 1,
    start: str = "2024-01-01",
    step_seconds: int = 3600,
    level: float = 50.0,
    trend: float = 0.0,
    season: float = 5.0,
    season_rows: int = 24,
    noise: float = 1.0,
    n_spikes: int = 8,
    spike: float = 40.0,
    n_shifts: int = 1,
    shift: float = 30.0,
    shift_rows: int = 12,
    seed: int | None = 0,
) -> tuple[Features, Labels]:
    """A series of level, trend, season and noise, with spikes and level shifts at random places.

    Parameters
    ----------
    n_rows : int
        Time steps.
    n_series : int
        Value columns, each with anomalies of its own; one is called value, several value1, value2, ...
    start : str
        The first time stamp, ISO 8601.
    step_seconds : int
        Time between two rows.
    level : float
        The mean without all the rest.
    trend : float
        By how much the level rises from the first row to the last.
    season : float
        Amplitude of the sine that repeats.
    season_rows : int
        Rows until it does.
    noise : float
        Standard deviation of what is added to each value.
    n_spikes : int
        Single rows that stand out, upwards or downwards.
    spike : float
        By how much.
    n_shifts : int
        Stretches on another level.
    shift : float
        By how much, upwards or downwards.
    shift_rows : int
        How long.
    seed : int or None
        The same seed gives the same bits; None gives others every time.

    Returns
    -------
    features : Features
        With times; the time column is called Time.
    labels : ndarray of int64
        1 = some value of the row is a spike, or shifted.

    Raises
    ------
    TrainingError
        If the anomalies do not fit into the rows, or for negative numbers.
    """
    _not_negative(noise=noise, n_spikes=n_spikes, n_shifts=n_shifts, shift_rows=shift_rows)
    if min(n_rows, n_series, step_seconds, season_rows) < 1:
        raise TrainingError("n_rows, n_series, step_seconds and season_rows are at least 1")
    random = np.random.RandomState(seed)
    step = np.arange(n_rows)
    regular = level + trend * step / max(n_rows - 1, 1) + season * np.sin(2.0 * np.pi * step / season_rows)
    values = regular[:, None] + noise * random.standard_normal((n_rows, n_series))
    labels = np.zeros(n_rows, np.int64)
    for column in range(n_series):
        for rows, height in _anomalies(random, n_rows, [(1, spike)] * n_spikes + [(shift_rows, shift)] * n_shifts):
            values[rows, column] += height
            labels[rows] = 1
    times = np.datetime64(start, "ns") + (step * (step_seconds * _SECOND)).astype("timedelta64[ns]")
    names = ("value",) if n_series == 1 else tuple(f"value{index}" for index in range(1, n_series + 1))
    return Features(values, names, times, "Time", "iso", "synthetic series"), labels


def _not_negative(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number >= 0:
            raise TrainingError(f"{name} is {number}, it cannot be negative")


def _points(
    centres: float | Sequence[float] | Sequence[Sequence[float]] | npt.NDArray[np.float64], n_features: int, name: str
) -> npt.NDArray[np.float64]:
    points = np.asarray(centres, np.float64)
    if points.ndim < 2:
        return np.repeat(points.reshape(-1, 1), n_features, axis=1)
    if points.shape[1] != n_features:
        raise TrainingError(f"{name} have {points.shape[1]} dimensions, n_features is {n_features}")
    return points


def _anomalies(
    random: np.random.RandomState, n_rows: int, wanted: list[tuple[int, float]]
) -> list[tuple[slice, float]]:
    """Places for the anomalies, a slot each so that none covers another, with a row between two."""
    if not wanted:
        return []
    slot = n_rows // len(wanted)
    if slot <= max(length for length, _ in wanted):
        raise TrainingError(f"{len(wanted)} anomalies of that length do not fit into {n_rows} rows")
    order = random.permutation(len(wanted))
    places = []
    for index, (length, height) in zip(order, wanted, strict=True):
        first = int(index) * slot + int(random.randint(slot - length))
        sign = 1.0 if random.randint(2) else -1.0
        places.append((slice(first, first + length), sign * height))
    return places
