import contextlib
import json
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.errors import BadData
from serving.protocols import oip, plain_rows

DTYPES = [np.dtype(dtype) for dtype in oip.DATATYPES.values()]


def request(tensor: np.ndarray, binary: bool) -> tuple[bytes, int | None]:
    one = {"name": "x", "shape": list(tensor.shape), "datatype": oip.datatype(tensor)}
    one |= {"parameters": {"binary_data_size": tensor.nbytes}} if binary else {"data": tensor.tolist()}
    head = json.dumps({"inputs": [one]}).encode()
    return (head + tensor.tobytes(), len(head)) if binary else (head, None)


def parsed(body: bytes, least_bytes: int) -> tuple[object, ...] | str:
    """What becomes of a request if bodies of so many bytes are left to the parser of plain numbers first."""
    with mock.patch.object(plain_rows, "LEAST_BYTES", least_bytes):
        try:
            found = oip.parse(body, None)
        except BadData as error:
            return str(error)
    # The integer -0 is 0 to one parser and to another.
    rows = (found.rows.dtype, found.rows.shape, (found.rows + 0.0).tobytes())
    return rows, found.id, found.names, found.parameters, found.wanted, found.binary


@given(st.data(), st.sampled_from(DTYPES), st.booleans())
def test_a_tensor_comes_back_bit_by_bit(data: st.DataObject, dtype: np.dtype, binary: bool) -> None:
    shape = hnp.array_shapes(min_dims=2, max_dims=2, max_side=4).filter(lambda shape: shape[1] > 1)
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else None
    tensor = data.draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **(elements or {}))))
    found = oip.parse(*request(tensor, binary))
    assert found.rows.dtype == dtype
    assert found.rows.tobytes() == tensor.tobytes()
    assert found.rows.flags.carray  # else detectors copy it, after scikit-learn's validation
    body, length = oip.encode({"id": "i"}, [("y", tensor, binary)])
    answer = json.loads(body[:length])
    assert answer["outputs"][0]["shape"] == list(tensor.shape)
    back = np.frombuffer(body[length:], dtype) if binary else np.array(answer["outputs"][0]["data"], dtype=dtype)
    assert back.tobytes() == tensor.tobytes()


@given(st.binary(), st.none() | st.integers(0, 100))
def test_arbitrary_bytes_are_a_request_or_bad_data(body: bytes, length: int | None) -> None:
    with contextlib.suppress(BadData):
        oip.parse(body, length)


VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=3)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b"]) | VALUES,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | VALUES,
        "datatype": st.sampled_from([*oip.DATATYPES, "BYTES"]) | VALUES,
        "data": st.lists(st.lists(VALUES, max_size=3) | VALUES, max_size=3) | VALUES,
        "parameters": st.fixed_dictionaries({"binary_data_size": VALUES}) | VALUES,
    },
)


@given(
    st.fixed_dictionaries(
        {"inputs": st.lists(TENSORS, max_size=3)}, optional={"outputs": st.lists(TENSORS), "id": VALUES}
    )
)
def test_any_request_is_taken_apart_or_bad_data(document: object) -> None:
    body = json.dumps(document).encode()
    assert parsed(body, least_bytes=0) == parsed(body, least_bytes=1 << 30)


NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**63), max_size=4)


@given(st.lists(st.tuples(NUMBERS, st.sampled_from(["FP64", "FP32", "FP16", "INT64"])), max_size=3), st.booleans())
def test_plain_numbers_are_taken_as_any_others(tensors: list[tuple[list[float], str]], columns: bool) -> None:
    inputs = [
        {"name": f"[{index}", "shape": [len(data)] if columns else [1, len(data)], "datatype": kind, "data": data}
        for index, (data, kind) in enumerate(tensors)
    ]
    body = json.dumps({"id": "i", "inputs": inputs, "parameters": {"a": "["}, "outputs": [{"name": "y"}]}).encode()
    assert parsed(body, least_bytes=0) == parsed(body, least_bytes=1 << 30)


def test_features_one_by_one() -> None:
    inputs = [
        {"name": "b", "shape": [2], "datatype": "FP64", "data": [1, 2]},
        {"name": "a", "shape": [2, 1], "datatype": "INT32", "data": [[3], [4]]},
    ]
    found = oip.parse(json.dumps({"inputs": inputs, "id": "7"}).encode(), None)
    assert found.names == ["b", "a"]
    assert found.rows.tolist() == [[1, 3], [2, 4]]
    assert found.id == "7"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [2, 2]}, "4 values|do not fill"),
        ({"shape": "x"}, "shape should be"),
        ({"datatype": "BYTES"}, "datatype should be one of"),
        ({"data": [["x", 1]]}, "input x: "),
        ({"data": [1.5, "y"]}, "input x: 'y' is not a number"),
        ({"data": [[1.5, "y"]]}, "input x: 'y' is not a number"),
        ({"data": [[None, 1]]}, "input x: null"),
        ({"data": [[1.5, 1]], "datatype": "INT64"}, "not all values are of type int64"),
        ({"data": [[True, 5]], "datatype": "BOOL"}, "input x: a truth value is neither 0 nor 1"),
        ({"data": [[0, 0.5]], "datatype": "BOOL"}, "input x: a truth value is neither 0 nor 1"),
        ({"data": [[300, 1]], "datatype": "UINT8"}, "not all values are of type uint8"),
        ({"data": [[1], [1, 2]]}, "row 2 has 2 values"),
        ({"data": None}, "values should be a list"),
        ({"parameters": {"binary_data_size": 5}}, "binary_data_size is 5, 0 bytes are left"),
        ({"parameters": 3}, "parameters should be an object"),
        ({"name": 3}, "should be an object with name"),
    ],
)
def test_the_wrong_input_is_named(change: dict[str, object], message: str) -> None:
    one = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [[1, 2]]} | change
    with pytest.raises(BadData, match=message):
        oip.parse(json.dumps({"inputs": [one]}).encode(), None)


def test_bytes_that_do_not_fit() -> None:
    body, length = request(np.ones((2, 2)), binary=True)
    for wrong in (body + b"x", body[:-1]):
        with pytest.raises(BadData):
            oip.parse(wrong, length)
    with pytest.raises(BadData, match="the body has"):
        oip.parse(body, 10_000)


def test_outputs_that_are_asked_for() -> None:
    outputs = [("a", np.ones(1)), ("b", np.zeros(1))]
    wanted = [oip.Wanted("b", binary=True)]
    assert [(name, binary) for name, _, binary in oip.choose(outputs, wanted, binary=False)] == [("b", True)]
    with pytest.raises(BadData, match="there is no output 'c'; there are a, b"):
        oip.choose(outputs, [oip.Wanted("c", binary=False)], binary=False)
