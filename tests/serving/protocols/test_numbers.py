import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import BadData
from serving.protocols import numbers


@given(
    st.lists(st.lists(st.floats(allow_nan=False) | st.integers(-(2**60), 2**60), min_size=3, max_size=3), min_size=1)
)
def test_rows_of_numbers_are_what_they_were(rows: list[list[float]]) -> None:
    found = numbers.matrix(rows)
    assert found.dtype == np.float64
    assert found.flags.c_contiguous
    assert found.tolist() == [[float(value) for value in row] for row in rows]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 2], [3, "x"]], "row 2, feature b: 'x' is not a number"),
        ([[1, "2"]], "row 1, feature b: '2' is not a number"),
        ([[None, 2]], "row 1, feature a: null is not a number"),
        ([[1, {}]], "row 1, feature b: an object is not a number"),
        ([[1, 2], [3]], "row 2 has 1 values, row 1 has 2"),
        ([[1, 2], 3], "row 2 should be a list, not a number"),
        ([1, 2], "row 1 should be a list of numbers, not a number"),
        ([[[1, 2]]], "3 dimensions"),
        ([[1, [2]]], "not nested lists"),
        ([], "there are no rows"),
        ([[]], "row 1 is empty"),
        ([[], []], "row 1 is empty"),
        ("text", "rows of numbers are needed, not text"),
        (np.array("text"), "rows of numbers are needed, not text"),
        (None, "rows of numbers are needed, not null"),
        (np.array([[1.5, "x"]]), "row 1, feature b: 'x' is not a number"),
        (np.array([["1", "2"]]), "row 1, feature a: '1' is not a number"),
        (np.array(["a", "b"]), "row 1 should be a list of numbers, not text"),
    ],
)
def test_what_is_wrong_is_named(rows: object, message: str) -> None:
    with pytest.raises(BadData, match=message):
        numbers.matrix(rows, ["a", "b"])  # type: ignore[arg-type]


def test_null_is_a_missing_value_where_there_may_be_some() -> None:
    np.testing.assert_array_equal(numbers.matrix([[1, None]], missing=True), [[1, np.nan]])


def test_integers_beyond_64_bits_are_numbers() -> None:
    assert numbers.matrix([[2**70, -1]]).tolist() == [[float(2**70), -1.0]]


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "Infinity"), (-np.inf, "-Infinity")])
def test_what_is_not_finite_is_named(value: float, name: str) -> None:
    with pytest.raises(BadData, match=f"row 2, feature a: {name} is not a finite number"):
        numbers.blame_not_finite(np.array([[1.0, 2.0], [value, 0.0]]), ["a", "b"])


def test_missing_values_are_not_blamed_where_there_may_be_some() -> None:
    numbers.blame_not_finite(np.array([[np.nan]]), missing=True)


def test_objects_with_different_features_are_refused() -> None:
    with pytest.raises(BadData, match="row 2 has other features than row 1: b"):
        numbers.table([{"a": 1}, {"b": 1, "a": 2}])
    with pytest.raises(BadData, match="row 2 should be an object"):
        numbers.table([{"a": 1}, 3])
