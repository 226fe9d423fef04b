"""Hot loops of the principal directions of windows: sums of their products, and how far windows are from what is usual.

No window is ever copied out of its series.
"""

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel

FloatArray = npt.NDArray[np.float64]


@kernel
def window_products(values: FloatArray, window: int, products: FloatArray) -> None:
    """Sums of products of every two places over all windows of a series.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        A series, n at least the window.
    window : int
        Rows.
    products : ndarray of shape (window, window), float64
        Becomes the sums over the starts s of ``values[s + i] * values[s + j]``.
    """
    n_windows = values.shape[0] - window + 1
    first = products[0]
    first[:] = 0.0
    for start in range(n_windows):
        value = values[start]
        for place in range(window):
            first[place] += value * values[start + place]
    for place in range(1, window):  # one place on, the first window's product goes and one past the last window's comes
        for other in range(place, window):
            products[place, other] = (
                products[place - 1, other - 1]
                - values[place - 1] * values[other - 1]
                + values[place - 1 + n_windows] * values[other - 1 + n_windows]
            )
        for other in range(place):
            products[place, other] = products[other, place]
    for place in range(1, window):
        products[place, 0] = products[0, place]


@kernel
def _start(row: int, n_rows: int, window: int, centred: bool) -> int:
    return min(max(row - window // 2, 0), n_rows - window) if centred else row + 1 - window


@kernel
def _error(values: FloatArray, start: int, directions: FloatArray, usual: FloatArray, along: FloatArray) -> float:
    """The sum of squares of a window without what is usual along each direction."""
    along[:] = 0.0
    total = 0.0
    for place in range(directions.shape[0]):
        value = values[start + place]
        total += value * value
        for direction in range(directions.shape[1]):
            along[direction] += value * directions[place, direction]
    for direction in range(directions.shape[1]):
        total -= usual[direction] * along[direction] * along[direction]
    return max(total, 0.0)


@kernel
def direction_errors(
    values: FloatArray, directions: FloatArray, usual: FloatArray, centred: bool, errors: FloatArray
) -> None:
    """Root mean square of each row's window without what is usual along the principal directions.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        A series, n at least the window.
    directions : ndarray of shape (window, k), float64
        Orthonormal.
    usual : ndarray of shape (k,), float64
        Which share of a window's square along each direction is usual, 0 to 1.
    centred : bool
        Whether windows have their row in the middle, as far as the ends of the series allow; otherwise it is their
        last.
    errors : ndarray of shape (n,), float64
        Becomes the errors; NaN for a row without a window.
    """
    window = directions.shape[0]
    along = np.empty(directions.shape[1])
    last, error = -1, np.nan
    for row in range(values.shape[0]):
        start = _start(row, values.shape[0], window, centred)
        if start >= 0 and start != last:
            error = np.sqrt(_error(values, start, directions, usual, along) / window)
            last = start
        errors[row] = error


@kernel
def free_values(
    values: FloatArray, directions: FloatArray, usual: FloatArray, centred: bool, found: FloatArray
) -> None:
    """The squared error of a window as a function of one row's value x: ``least + slope * (x - best)**2``.

    Parameters
    ----------
    values, directions, usual, centred
        As for `direction_errors`.
    found : ndarray of shape (n, 3), float64
        Becomes best, slope and least; NaN for a row without a window. The sum of squares is meant, not its mean.
    """
    window = directions.shape[0]
    along = np.empty(directions.shape[1])
    for row in range(values.shape[0]):
        start = _start(row, values.shape[0], window, centred)
        if start < 0:
            found[row] = np.nan
            continue
        total = _error(values, start, directions, usual, along)
        left, slope = values[row], 1.0
        for direction in range(directions.shape[1]):
            part = usual[direction] * directions[row - start, direction]
            left -= part * along[direction]
            slope -= part * directions[row - start, direction]
        found[row, 0] = values[row] - left / slope
        found[row, 1] = slope
        found[row, 2] = max(total - left * left / slope, 0.0)
