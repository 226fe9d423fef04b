"""Hypothesis strategies: the kinds of data on which detectors have gone wrong."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

# Squares of differences below would vanish in a plain reference.
_ordinary = st.floats(-100.0, 100.0).map(lambda value: value if abs(value) > 1e-100 else 0.0)


def _values(n_rows: int, n_features: int, elements: st.SearchStrategy) -> st.SearchStrategy[np.ndarray]:
    return stn.arrays(np.float64, (n_rows, n_features), elements=elements)


@st.composite
def random_rows(draw: st.DrawFn, n_rows: int, n_features: int) -> np.ndarray:
    """Gaussian rows: Hypothesis' own numbers would seldom be without ties."""
    return np.random.RandomState(draw(st.integers(0, 2**32 - 1))).normal(size=(n_rows, n_features))


@st.composite
def repeated_rows(draw: st.DrawFn, n_rows: int, n_features: int) -> np.ndarray:
    """Few distinct rows, many times."""
    distinct = draw(_values(draw(st.integers(1, 4)), n_features, _ordinary))
    return distinct[draw(stn.arrays(np.int64, n_rows, elements=st.integers(0, len(distinct) - 1)))]


def constant_rows(n_rows: int, n_features: int) -> st.SearchStrategy[np.ndarray]:
    """One row again and again."""
    return _values(1, n_features, _ordinary).map(lambda row: np.repeat(row, n_rows, axis=0))


def grid_rows(n_rows: int, n_features: int) -> st.SearchStrategy[np.ndarray]:
    """Small integers: distances that are exactly equal, rows exactly on the surface of a ball."""
    return _values(n_rows, n_features, st.integers(-3, 3).map(float))


def shifted_rows(n_rows: int, n_features: int) -> st.SearchStrategy[np.ndarray]:
    """Far from zero, where expanding the square of a difference leaves nothing."""
    return random_rows(n_rows, n_features).map(lambda rows: rows + 1e7)


def awkward_rows(n_rows: int, n_features: int) -> st.SearchStrategy[np.ndarray]:
    """Numbers as Hypothesis thinks them up, of ordinary size."""
    return _values(n_rows, n_features, _ordinary)


KINDS = (random_rows, repeated_rows, constant_rows, grid_rows, shifted_rows, awkward_rows)


@st.composite
def rows(draw: st.DrawFn, min_rows: int = 2, max_rows: int = 40, max_features: int = 6) -> np.ndarray:
    """Rows of any of those kinds, from one feature up."""
    n_rows, n_features = draw(st.integers(min_rows, max_rows)), draw(st.integers(1, max_features))
    return draw(draw(st.sampled_from(KINDS))(n_rows, n_features))


@st.composite
def many_rows(draw: st.DrawFn, max_features: int = 4) -> np.ndarray:
    """More rows than are judged one by one: in clusters, on a grid, all alike, or spread over all magnitudes."""
    n_rows, n_features = draw(st.integers(33, 700)), draw(st.integers(1, max_features))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["clusters", "grid", "alike", "magnitudes"]))
    rows = random.normal(size=(n_rows, n_features))
    if kind == "clusters":
        rows = rows / 10 + random.integers(0, 3, n_rows)[:, None]
    elif kind == "grid":
        rows = np.round(rows)
    elif kind == "alike":
        rows[:] = rows[0]
    else:
        rows *= 10.0 ** random.integers(-300, 300, n_rows)[:, None]
    return rows
