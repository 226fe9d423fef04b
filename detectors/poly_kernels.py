"""Hot loops of the local polynomial fit: moments of windows, and the errors that coefficients made of them leave."""

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel

FloatArray = npt.NDArray[np.float64]


@kernel
def window_moments(values: FloatArray, window: int, moments: FloatArray) -> None:
    """Sum what each window holds times the powers of the place in it.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        A series.
    window : int
        Rows.
    moments : ndarray of shape (n - window + 1, degree + 1), float64
        Becomes, for each window by its first row, the sums of ``v**k * value``; v goes from -1 to 1 across the window
        but for half a row at each end.
    """
    for start in range(moments.shape[0]):
        for power in range(moments.shape[1]):
            moments[start, power] = 0.0
        for place in range(window):
            v = (2 * place + 1 - window) / window
            term = values[start + place]
            for power in range(moments.shape[1]):
                moments[start, power] += term
                term *= v


@kernel
def _fit(moments: FloatArray, first: int, window: int, weights: FloatArray, count: int, fitted: FloatArray) -> None:
    """Coefficients of the polynomial over `count` windows from a row on, by powers of u from -1 to 1 across them."""
    for power in range(fitted.shape[0]):
        total = 0.0
        for block in range(count):
            for moment in range(fitted.shape[0]):
                total += weights[block, power, moment] * moments[first + block * window, moment]
        fitted[power] = total


@kernel
def _place(row: int, n_rows: int, window: int, longest: int, centred: bool) -> tuple[int, int, int]:
    """Where the window of a row and the stretch begin, and how many windows long this is; below 0 there is none."""
    if centred:
        count = min(longest, n_rows // window)
        start = min(max(row - window // 2, 0), n_rows - window)
        first = start - (count - 1) * window // 2
        return start, min(max(first, 0), n_rows - count * window), count
    count = min(longest, (row + 1) // window)
    return row + 1 - window, row + 1 - count * window, count


@kernel
def _value(fitted: FloatArray, u: float) -> float:
    value = 0.0
    for power in range(fitted.shape[0] - 1, -1, -1):
        value = value * u + fitted[power]
    return value


@kernel
def fit_errors(
    values: FloatArray,
    window: int,
    longest: int,
    centred: bool,
    moments: FloatArray,
    weights: FloatArray,
    errors: FloatArray,
) -> None:
    """Root mean square of the residuals in a window of each row, the polynomial being fitted to a wider stretch.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        A series.
    window : int
        Rows.
    longest : int
        How many windows long the stretch is that the polynomial is fitted to, where there is room for it.
    centred : bool
        Whether windows have their row in the middle, as far as the ends of the series allow; otherwise it is their
        last.
    moments : ndarray of shape (n - window + 1, degree + 1), float64
        By `window_moments`.
    weights : ndarray of shape (longest + 1, longest, degree + 1, degree + 1), float64
        What makes coefficients of moments, for each count.
    errors : ndarray of shape (n,), float64
        Becomes the errors; NaN for a row without a window.
    """
    fitted = np.empty(moments.shape[1])
    for row in range(values.shape[0]):
        errors[row] = np.nan
        start, first, count = _place(row, values.shape[0], window, longest, centred)
        if start < 0:
            continue
        _fit(moments, first, window, weights[count], count, fitted)
        length = count * window
        total = 0.0
        for place in range(start, start + window):
            residual = values[place] - _value(fitted, (2 * (place - first) + 1 - length) / length)
            total += residual * residual
        errors[row] = np.sqrt(total / window)


@kernel
def free_values(
    values: FloatArray,
    window: int,
    longest: int,
    centred: bool,
    moments: FloatArray,
    weights: FloatArray,
    inverses: FloatArray,
    found: FloatArray,
) -> None:
    """The squared error of a window as a function of one row's value x: ``least + slope * (x - best)**2``.

    Parameters
    ----------
    values, window, longest, centred, moments, weights
        As for `fit_errors`.
    inverses : ndarray of shape (longest + 1, degree + 1, degree + 1), float64
        Inverses of the sums of products of powers over stretches, for each count.
    found : ndarray of shape (n, 3), float64
        Becomes best, slope and least; NaN for a row without a window. The sum of squares is meant, not its mean.
    """
    width = moments.shape[1]
    fitted, leverage = np.empty(width), np.empty(width)
    for row in range(values.shape[0]):
        found[row] = np.nan
        start, first, count = _place(row, values.shape[0], window, longest, centred)
        if start < 0:
            continue
        _fit(moments, first, window, weights[count], count, fitted)
        length = count * window
        u = (2 * (row - first) + 1 - length) / length
        for power in range(width):  # what a change of this row's value does to the coefficients
            leverage[power] = 0.0
            for other in range(width - 1, -1, -1):
                leverage[power] = leverage[power] * u + inverses[count, power, other]
        total = along = slope = 0.0
        for place in range(start, start + window):
            w = (2 * (place - first) + 1 - length) / length
            residual = values[place] - _value(fitted, w)
            change = (1.0 if place == row else 0.0) - _value(leverage, w)
            total += residual * residual
            along += residual * change
            slope += change * change
        found[row, 1] = slope
        found[row, 0] = values[row] - along / slope if slope > 1e-12 else np.nan
        found[row, 2] = max(total - along * along / slope, 0.0) if slope > 1e-12 else np.nan
