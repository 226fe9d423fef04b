import base64
import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.errors import BadData
from serving.protocols import forms, seldon, tftensor

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
MATRICES = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=FINITE)


@given(MATRICES, st.sampled_from(["ndarray", "tensor", "tftensor"]))
def test_an_array_comes_back_bit_by_bit(values: np.ndarray, kind: str) -> None:
    document = seldon.data_field(kind, values, [])
    message = seldon.parse(seldon.loads(seldon.dumps(document)))
    assert message.kind == kind
    assert message.payload.astype(np.float64).tobytes() == values.tobytes()


@given(st.binary())
def test_bytes_come_back(data: bytes) -> None:
    assert seldon.parse(seldon.loads(seldon.dumps(seldon.data_field("binData", data, [])))).payload == data


@given(st.text())
def test_text_comes_back(text: str) -> None:
    assert seldon.parse(seldon.loads(seldon.dumps(seldon.data_field("strData", text, [])))).payload == text


@given(st.binary() | st.text().map(str.encode))
def test_arbitrary_bytes_are_a_message_or_bad_data(body: bytes) -> None:
    with contextlib.suppress(BadData):
        seldon.parse(seldon.loads(body))


FIELDS = [
    "data",
    "names",
    "ndarray",
    "tensor",
    "tftensor",
    "shape",
    "values",
    "meta",
    "puid",
    "tags",
    "binData",
    "strData",
    "jsonData",
    "dtype",
    "tensorShape",
    "dim",
    "size",
    "doubleVal",
    "request",
    "reward",
    "truth",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(JSON)
def test_any_json_is_a_message_or_bad_data(document: object) -> None:
    for parse in (seldon.parse, seldon.parse_feedback, tftensor.parse):
        with contextlib.suppress(BadData):
            parse(document)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b'{"a": NaN}', "not JSON: NaN is not a number there"),
        (b'{"a": -Infinity}', "not JSON: Infinity is not a number there"),
        (b"[1e400]", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_not_json(body: bytes, message: str) -> None:
    with pytest.raises(BadData, match=message):
        seldon.loads(body)


def tensorflow(shape: list[int], values: list[int]) -> dict[str, object]:
    dimensions = [{"size": str(length)} for length in shape]
    return {"dtype": "DT_DOUBLE", "tensorShape": {"dim": dimensions}, "doubleVal": values}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "a SeldonMessage is an object, not a list"),
        ({}, "data is missing"),
        ({"data": []}, "data should be an object"),
        ({"data": {}}, "data has none of"),
        ({"data": {"names": "a", "ndarray": [[1]]}}, "data.names should be a list of text"),
        ({"data": {"names": [1], "ndarray": [[1]]}}, "data.names should be a list of text"),
        ({"data": {"ndarray": 1}}, "values should be a list"),
        ({"data": {"ndarray": [[1], [1, 2]]}}, "row 2 has 2 values"),
        ({"data": {"tensor": []}}, "data.tensor should be an object"),
        ({"data": {"tensor": {"values": [1]}}}, "data.tensor.shape"),
        ({"data": {"tensor": {"shape": [-1], "values": [1]}}}, "data.tensor.shape"),
        ({"data": {"tensor": {"shape": [True], "values": [1]}}}, "data.tensor.shape"),
        ({"data": {"tensor": {"shape": [2, 2], "values": [1]}}}, "1 values do not fill the shape"),
        ({"data": {"tensor": {"shape": [1] * 66, "values": [1]}}}, "1 values do not fill the shape"),
        ({"data": {"tensor": {"shape": [0, 2**39, 2**39], "values": []}}}, "0 values do not fill the shape"),
        ({"data": {"tftensor": tensorflow([2], [1, 2, 3])}}, "3 values do not fill the shape"),
        ({"data": {"tftensor": tensorflow([1] * 66, [1])}}, "1 values do not fill the shape"),
        ({"data": {"tftensor": tensorflow([0, 2**39, 2**39], [])}}, "0 values do not fill the shape"),
        ({"data": {"tensor": {"shape": [1], "values": [[1]]}}}, "flat"),
        ({"data": {"tensor": {"shape": [1]}}}, "values should be a list, not null"),
        ({"strData": 1}, "strData should be text"),
        ({"binData": "§"}, "binData is not base64"),
        ({"data": {"ndarray": []}, "meta": 1}, "meta should be an object"),
        ({"data": {"ndarray": []}, "meta": {"tags": 1}}, "meta.tags should be an object"),
        ({"data": {"ndarray": []}, "meta": {"puid": 1}}, "meta.puid should be text"),
    ],
)
def test_the_wrong_field_is_named(document: object, message: str) -> None:
    with pytest.raises(BadData, match=message):
        seldon.parse(document)


def test_a_number_that_is_not_finite_is_null_in_an_answer() -> None:
    for values in (np.array([[math.nan, math.inf]]), [[math.nan, math.inf]]):
        assert json.loads(seldon.dumps(seldon.data_field("ndarray", values, []))) == {
            "data": {"names": [], "ndarray": [[None, None]]}
        }


def test_numpy_in_an_answer_of_the_models_own() -> None:
    document = {"jsonData": {"a": np.float32(0.5), "b": np.arange(2)[::-1], 3: {1}, "c": b"\0", "d": np.array(["x"])}}
    assert json.loads(seldon.dumps(document)) == {
        "jsonData": {"a": 0.5, "b": [1, 0], "3": [1], "c": "AA==", "d": ["x"]}
    }


def test_what_json_cannot_hold_is_the_models_fault() -> None:
    with pytest.raises(TypeError):
        seldon.dumps({"a": object()})
    with pytest.raises(TypeError, match="not object"):
        seldon.data_field("ndarray", object(), [])


def test_truth_values_and_text_go_back_as_ndarray() -> None:
    assert seldon.data_field("tensor", np.array([["a"]]), []) == {"data": {"names": [], "ndarray": [["a"]]}}
    assert seldon.data_field("strData", np.array([[1.5]]), ["t:0"])["data"].keys() == {"names", "tensor"}


class TestForms:
    def test_query(self) -> None:
        assert forms.query(b"a=1&a=2&b=") == {"a": "1", "b": ""}
        with pytest.raises(BadData):
            forms.query(b"\xff=1")
        with pytest.raises(BadData):
            forms.query(b"&".join(b"a=1" for _ in range(101)))

    def test_multipart(self) -> None:
        body = (
            b'--B\r\nContent-Disposition: form-data; name="meta"\r\n\r\n{"puid": "x"}\r\n'
            b'--B\r\nContent-Disposition: form-data; name="strData"\r\n\r\ntext\r\n'
            b'--B\r\nContent-Disposition: form-data; name="binData"; filename="f"\r\n\r\n\0\1\r\n--B--\r\n'
        )
        assert forms.multipart(b"multipart/form-data; boundary=B", body) == {
            "meta": {"puid": "x"},
            "strData": "text",
            "binData": base64.b64encode(b"\0\1").decode(),
        }

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"--B",
            b'--B\r\nContent-Disposition: form-data; name="data"\r\n\r\n{\r\n--B--\r\n',
            b"--B\r\nContent-Disposition: form-data\r\n\r\n1\r\n--B--\r\n",
            b'--B\r\nContent-Disposition: form-data; name="strData"\r\n\r\n\xff\r\n--B--\r\n',
        ],
    )
    def test_what_cannot_be_read(self, body: bytes) -> None:
        with pytest.raises(BadData):
            forms.multipart(b"multipart/form-data; boundary=B", body)

    @given(st.binary(), st.binary())
    def test_arbitrary_bytes(self, kind: bytes, body: bytes) -> None:
        for read in (
            lambda: forms.multipart(kind, body),
            lambda: forms.multipart(
                b"multipart/form-data; boundary=B", b"--B\r\n" + kind + b"\r\n\r\n" + body + b"--B--"
            ),
            lambda: forms.query(body),
        ):
            with contextlib.suppress(BadData):
                read()
