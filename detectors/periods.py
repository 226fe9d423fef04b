"""How long a window over a series should be: whole periods, where it has one.

The period is the lag of a peak of the autocorrelation, as in most detectors of subsequences (e.g. J. Paparrizos et al.,
TSB-UAD, VLDB 2022); here a peak must stand out from its surroundings, or noise on a slow curve would pass for one.

scipy imports `scipy.signal`, and half of itself with it, at its first use: a served model never gets that far.
"""

import numpy as np
import numpy.typing as npt
import scipy

FloatArray = npt.NDArray[np.float64]

LONGEST_PERIOD = 512
"""Rows; what is longer takes windows that cost too much."""

SHORTEST_WINDOW = 100
"""Rows a window has at least, where the series is long enough: errors over fewer are mostly noise."""

WITHOUT_PERIOD = 150
"""Rows of a window over a series without a period."""

_PROMINENCE = 0.1  # of a peak above the valleys beside it
_NOISE = 5.0  # and how many standard deviations of the autocorrelation of noise, 1 / sqrt(n)
_AS_GOOD = 0.9  # of the highest peak: a period's multiples are peaks as high as its own
_LOOKED_AT = 1 << 17
_WINDOWS = 4  # a series should hold as many at least


def autocorrelation(values: FloatArray, max_lag: int) -> FloatArray:
    """Correlation of a series with itself some rows later, its straight trend taken off.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        NaN counts as the trend.
    max_lag : int
        In rows, below n.

    Returns
    -------
    ndarray of shape (max_lag + 1,), float64
        1 at lag 0; all 0 for a series without variation.
    """
    known = ~np.isnan(values)
    rows = np.arange(len(values), dtype=np.float64)
    filled = np.interp(rows, rows[known], values[known]) if known.any() else np.zeros(len(values))
    largest = np.abs(filled).max(initial=0.0)
    centred = scipy.signal.detrend(filled / largest) if largest > 0.0 else filled
    size = scipy.fft.next_fast_len(len(centred) + max_lag, real=True)
    power = np.abs(scipy.fft.rfft(centred, size)) ** 2
    products = scipy.fft.irfft(power, size)[: max_lag + 1] / np.arange(len(centred), len(centred) - max_lag - 1, -1)
    if products[0] <= 1e-24:  # rounding of what was a straight line
        return np.zeros(max_lag + 1)
    correlations: FloatArray = products / products[0]
    return correlations


def period(values: FloatArray) -> int | None:
    """The period of a series.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        In time order, evenly spaced; NaN is missing. Of more than 131,072 rows the first are looked at.

    Returns
    -------
    int or None
        In rows, from 2 to `LONGEST_PERIOD`; None without a clear one, or if fewer than four fit in.

    Examples
    --------
    >>> period(np.sin(np.arange(1000) * 2 * np.pi / 24))
    24
    """
    looked_at = values[:_LOOKED_AT]
    max_lag = min(LONGEST_PERIOD, len(looked_at) // _WINDOWS)
    if max_lag < 2:
        return None
    correlations = autocorrelation(looked_at, max_lag + max_lag // 2 + 1)  # half a period on, the valley after a peak
    noise = _NOISE / np.sqrt(len(looked_at))
    peaks, found = scipy.signal.find_peaks(correlations, height=noise, prominence=max(_PROMINENCE, noise))
    inside = (peaks >= 2) & (peaks <= max_lag)
    peaks, heights = peaks[inside], found["peak_heights"][inside]
    if len(peaks) == 0:
        return None
    return int(peaks[heights >= _AS_GOOD * heights.max()][0])


def window_of(values: FloatArray) -> int:
    """The length of a window over a series: whole periods.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        As for `period`.

    Returns
    -------
    int
        Rows: the fewest whole periods that make `SHORTEST_WINDOW`, or `WITHOUT_PERIOD`; at most a quarter of the
        series, and at least 2.

    Examples
    --------
    >>> window_of(np.sin(np.arange(1000) * 2 * np.pi / 24))
    120
    """
    fitting = max(2, len(values) // _WINDOWS)
    found = period(values)
    if found is None:
        return min(WITHOUT_PERIOD, fitting)
    wanted = found * -(-SHORTEST_WINDOW // found)
    return wanted if wanted <= fitting else max(found, fitting // found * found)
