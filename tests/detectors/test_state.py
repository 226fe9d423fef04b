import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from detectors.errors import InvalidState
from detectors.state import Array, Scalar, check, decode, encode

dtypes = st.sampled_from(["float64", "float32", "int64", "int32", "bool", "uint8"])
arrays = dtypes.flatmap(lambda dtype: stn.arrays(dtype, stn.array_shapes(min_dims=0, min_side=0, max_dims=3)))


@given(arrays)
def test_an_array_comes_back_as_it_was(array):
    encoded = encode({"it": array})
    again = decode(pickle.loads(pickle.dumps(encoded)))["it"]
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()
    assert again.flags.owndata or again.base.flags.owndata
    assert again.flags.carray


def test_arrays_in_any_layout_come_back_in_c_order():
    array = np.arange(12.0).reshape(3, 4)
    for laid_out in (np.asfortranarray(array), array[:, ::-1][:, ::-1], array.astype(">f8")):
        again = decode(encode({"it": laid_out}))["it"]
        np.testing.assert_array_equal(again, array)
        assert again.dtype.isnative
        assert again.flags.carray


def test_numpy_s_numbers_become_python_s():
    assert encode({"a": np.float64(0.5), "b": np.int64(3), "c": np.bool_(True)}) == {"a": 0.5, "b": 3, "c": True}
    assert {type(value) for value in encode({"a": np.float64(0.5), "b": np.int64(3)}).values()} == {float, int}


def test_names_come_back_as_scikit_learn_keeps_them():
    names = np.array(["a", "ä b"], dtype=object)
    again = decode(encode({"feature_names_in_": names}))["feature_names_in_"]
    assert again.dtype == object
    assert list(again) == list(names)


def test_ordinary_tuples_are_left_alone():
    plain = {"max_samples": (2, 4), "empty": (), "nested": ((1,), "x"), "none": None}
    assert decode(encode(plain)) == plain


@pytest.mark.parametrize(
    "array", [np.array([1j]), np.array(["a"]), np.array([{}], dtype=object), np.zeros(1, "M8[ns]")]
)
def test_arrays_that_no_detector_keeps_are_not_written(array):
    with pytest.raises(InvalidState, match="it: arrays of"):
        encode({"it": array})


@pytest.mark.parametrize(
    "value",
    [
        ("array",),
        ("array", "<f8", (1,)),
        ("array", "<f8", (1,), b"\0" * 8, "more"),
        ("array", "|O8", (1,), b"\0" * 8),
        ("array", "O", (1,), b"\0" * 8),
        ("array", ">f8", (1,), b"\0" * 8),
        ("array", "<f8,<f8", (1,), b"\0" * 16),
        ("array", ["<f8"], (1,), b"\0" * 8),
        ("array", None, (1,), b"\0" * 8),
        ("array", "<f8", [1], b"\0" * 8),
        ("array", "<f8", (-1,), b"\0" * 8),
        ("array", "<f8", (-1, -1), b"\0" * 8),
        ("array", "<f8", (1.0,), b"\0" * 8),
        ("array", "<f8", (True,), b"\0" * 8),
        ("array", "<f8", (2,), b"\0" * 8),
        ("array", "<f8", (0,), b"\0" * 8),
        ("array", "<f8", (2**61,), b""),
        ("array", "<f8", (0, 2**62), b""),
        ("array", "<f8", (2**62, 0, 2**62), b""),
        ("array", "<f8", (1,), bytearray(8)),
        ("array", "<f8", (1,), "text    "),
        ("array", "|b1", (2,), b"\1\2"),
        ("names",),
        ("names", ["a"]),
        ("names", ("a", 1)),
        ("names", ("a",), "more"),
    ],
)
def test_what_is_not_an_array_is_not_read(value):
    with pytest.raises(InvalidState, match=r"^it: "):
        decode({"it": value})


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(max_size=16), lambda x: st.tuples(x, x, x, x)))
def test_reading_nonsense_gives_it_back_or_refuses_it(value):
    for candidate in (value, ("array", value, value, value), ("array", "<f8", value, value), ("names", value)):
        try:
            decode({"it": candidate})
        except InvalidState as error:
            assert "it: " in str(error)  # noqa: PT017


SCHEMA = {
    "count": Scalar(int, low=1),
    "share": Scalar(float, low=0.0, high=1.0),
    "label": Scalar(str),
    "maybe": Scalar(float, optional=True),
    "values": Array("float64", ("rows", "count"), low=-1.0, high=1.0),
    "weights": Array("float64", ("rows",), nan=True, finite=False),
    "owners": Array("int64", ("rows",), low=0, high="count"),
}
GOOD = {
    "count": 2,
    "share": 0.5,
    "label": "x",
    "maybe": None,
    "values": np.zeros((3, 2)),
    "weights": np.array([np.nan, np.inf, 0.0]),
    "owners": np.array([0, 1, 1]),
}


def test_a_good_state_passes():
    check(GOOD, SCHEMA)
    check({**GOOD, "values": np.zeros((0, 2)), "weights": np.zeros(0), "owners": np.zeros(0, np.int64)}, SCHEMA)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 0),
        ("count", 2.0),
        ("count", True),
        ("count", None),
        ("count", 3),
        ("count", 10**400),
        ("share", -0.1),
        ("share", 1.1),
        ("share", math.nan),
        ("share", math.inf),
        ("share", 1),
        ("share", np.float64(0.5)),
        ("label", 1),
        ("maybe", "x"),
        ("maybe", math.inf),
        ("values", None),
        ("values", [[0.0, 0.0]] * 3),
        ("values", np.zeros((3, 3))),
        ("values", np.zeros((2, 2))),
        ("values", np.zeros(6)),
        ("values", np.zeros((3, 2, 1))),
        ("values", np.zeros((3, 2), np.float32)),
        ("values", np.full((3, 2), np.nan)),
        ("values", np.full((3, 2), 1.5)),
        ("values", np.full((3, 2), -1.5)),
        ("weights", np.zeros(4)),
        ("owners", np.array([0, 1, 2])),
        ("owners", np.array([0, 1, -1])),
        ("owners", np.array([0.0, 1.0, 1.0])),
    ],
)
def test_a_bad_value_is_refused(name, value):
    with pytest.raises(InvalidState, match="|".join(SCHEMA)):
        check({**GOOD, name: value}, SCHEMA)


@pytest.mark.parametrize("name", list(SCHEMA))
def test_a_missing_attribute_is_named(name):
    with pytest.raises(InvalidState, match=f"{name} is missing"):
        check({key: value for key, value in GOOD.items() if key != name}, SCHEMA)


def test_an_unknown_attribute_is_named():
    with pytest.raises(InvalidState, match="surprise is not an attribute"):
        check({**GOOD, "surprise": 1}, SCHEMA)
