import json
import math
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from serving.errors import BadData
from serving.protocols import plain_rows, seldon

pytest.importorskip("simdjson")

NUMBER = st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE]([+-]?[0-9]{1,2}|-3[0-9]{2}))?\Z")
VALUE = st.one_of(NUMBER, st.floats(allow_nan=False, allow_infinity=False).map(repr), st.integers().map(str))


@st.composite
def documents(draw: Any) -> str:
    """Text of a SeldonMessage: mostly of the common shape, with rows of one width or not quite."""
    width = draw(st.integers(0, 4))
    value = VALUE if draw(st.integers(0, 5)) else st.one_of(VALUE, st.sampled_from(["[]", "[5]", "[6, 7]", "null"]))
    row = st.lists(value, min_size=width, max_size=width)
    rows = draw(st.lists(row if draw(st.integers(0, 5)) else st.lists(value, max_size=4), max_size=5))
    gap = draw(st.sampled_from(["", " ", "\n\t "]))
    ndarray = "[" + f"{gap},".join("[" + f",{gap}".join(row) + "]" for row in rows) + "]"
    odd = draw(st.sampled_from(['"x"', "null", "true", "[1]", "{}", "7"]))
    if not draw(st.integers(0, 3)):
        ndarray = ndarray[:-1] + ("," if rows else "") + odd + "]"
    inside = [f'"ndarray"{gap}:{gap}{ndarray}']
    names = draw(st.sampled_from(["", '["a", "b"]', '["ndarray", "]["]', '"ndarray"', "null"]))
    if names:
        inside.insert(draw(st.integers(0, 1)), f'"names": {names}')
    if not draw(st.integers(0, 8)):
        inside.append('"ndarray": [[1]]')
    parts = ['"data": {' + ", ".join(inside) + "}"]
    meta = draw(st.sampled_from(["", "", '{"puid": "p", "tags": {"a": 1, "a": [2]}}', '{"tags": {"ndarray": [[1]]}}']))
    if meta:
        parts.insert(draw(st.integers(0, 1)), f'"meta":{meta}')
    if not draw(st.integers(0, 8)):
        parts.append(draw(st.sampled_from(['"strData": "x"', '"data": {"ndarray": [[5]]}', '"nd\\u0061rray": 1'])))
    return "{" + gap + ", ".join(parts) + "}"


@st.composite
def flat_lists(draw: Any, needed: list[str], numbers: str) -> str:
    """Text of an object with a list of numbers, mostly a flat one, and the keys it needs, mostly each of them once."""
    odd = ["[]", "[5]", "null", '"x"', "{}"]
    value = VALUE if draw(st.integers(0, 3)) else st.one_of(VALUE, VALUE, st.sampled_from(odd))
    gap = draw(st.sampled_from(["", " ", "\n\t "]))
    keys = [*needed, f'"{numbers}":{gap}[' + f"{gap},".join(draw(st.lists(value, max_size=5))) + "]"]
    if not draw(st.integers(0, 4)):
        keys.remove(draw(st.sampled_from(keys)))
    keys += draw(st.lists(st.sampled_from(MORE), max_size=1 if draw(st.booleans()) else 0))
    return "{" + f", {gap}".join(draw(st.permutations(keys))) + "}"


MORE = [
    '"shape": [2]',
    '"datatype": "INT64"',
    '"name": "[x"',
    '"parameters": {"a": [[1]]}',
    '"data": [7]',
    '"values": []',
]
TENSOR = flat_lists(['"shape": [2, 2]'], "values")
INPUT = flat_lists(['"shape": [2, 2]', '"datatype": "FP64"', '"name": "x"'], "data")


@pytest.fixture(params=[0, 1 << 30], ids=["rows taken for wide", "rows taken for narrow"])
def either_width(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_rows, "_WIDE_ROW_BYTES", request.param)


same_for_each_example = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(documents())
@example('{"data": {"ndarray": [[], [1], [2, 3]]}}')
@example('{"data": {"ndarray": [[1], 2, [3]], "names": ["a"]}}')
@example('{"data": {"ndarray": [[[1]]]}}')
@example('{"data": {"ndarray": [[[1], 2], [3, 4]]}}')
@example('{"data": {"ndarray": [[[], 1], [[5, 6], 2]]}}')
@example('{"data": {"ndarray": [[1, 2, [3]], 4]}}')
@example('{"data": {"ndarray": [1, [[2], 3, 4]]}}')
@same_for_each_example
def test_what_it_takes_it_takes_as_the_general_parser_does(either_width: None, text: str) -> None:
    found = plain_rows.loads(text.encode())
    if found is None:
        return
    expected = seldon.loads(text)
    rows = found["data"].pop("ndarray")
    assert bits(rows.tolist()) == bits(json.loads(text)["data"]["ndarray"])
    assert bits(rows.tolist()) == bits(expected["data"].pop("ndarray"))
    assert found == expected


@given(TENSOR)
@example('{"shape": [2], "values": [1, [2]]}')
def test_a_tensor_is_taken_as_the_general_parser_takes_it(tensor: str) -> None:
    text = '{"data": {"names": ["a"], "tensor": ' + tensor + '}, "meta": {"tags": {"a": [1]}}}'
    found = plain_rows.loads(text.encode())
    if found is None:
        return
    expected = seldon.loads(text)
    values = found["data"]["tensor"].pop("values")
    assert bits([values.tolist()]) == bits([expected["data"]["tensor"].pop("values")])
    assert found == expected


@given(st.lists(INPUT, max_size=3))
@example(['{"datatype": "FP64", "data": [1, [2]]}'])
@example(['{"datatype": "FP64", "data": [1], "datatype": "INT64"}'])
def test_inputs_are_taken_as_the_general_parser_takes_them(inputs: list[str]) -> None:
    text = '{"id": "[", "inputs": [' + ", ".join(inputs) + '], "outputs": [{"name": "label"}]}'
    found = plain_rows.loads_inference(text.encode())
    if found is None:
        return
    expected = seldon.loads(text)
    for one, same in zip(found["inputs"], expected["inputs"], strict=True):
        assert bits([one.pop("data").tolist()]) == bits([same.pop("data")])
    assert found == expected


def bits(rows: list[list[float]]) -> list[list[bytes]]:
    # The integer -0 is 0 to one parser and to another, and either to the detectors.
    return [[struct.pack("<d", float(value) + 0.0) for value in row] for row in rows]


def finite(values: list[str]) -> list[float]:
    return [number for number in map(float, values) if math.isfinite(number)]


@given(
    st.lists(st.lists(VALUE, min_size=3, max_size=3).map(finite).filter(lambda row: len(row) == 3), min_size=1),
    st.sampled_from([[], ["a", "b", "c"], ["]", "[", "[["]]),
    st.booleans(),
)
@same_for_each_example
def test_it_takes_the_common_shape(either_width: None, rows: list[list[float]], names: list[str], last: bool) -> None:
    data = {"names": names, "ndarray": rows} if names else {"ndarray": rows}
    meta = {"puid": "x", "tags": {"all": ["[", []]}}
    message = {"data": dict(reversed(data.items())), "meta": meta} if last else {"meta": meta, "data": data}
    found = plain_rows.loads(json.dumps(message).encode())
    assert found is not None
    assert bits(found["data"].pop("ndarray").tolist()) == bits(rows)
    assert found == {"meta": meta, "data": {"names": names} if names else {}}


@given(st.lists(VALUE, min_size=1).map(finite).filter(bool))
def test_it_takes_tensors(values: list[float]) -> None:
    shape = [len(values), 1]
    found = plain_rows.loads(json.dumps({"data": {"tensor": {"shape": shape, "values": values}}}).encode())
    assert found is not None
    assert bits([found["data"]["tensor"]["values"].tolist()]) == bits([values])
    tensors = [{"name": name, "shape": shape, "datatype": "FP32", "data": values} for name in ("x", "[y")]
    wanted = [{"name": "label", "parameters": {"binary_data": True}}]
    found = plain_rows.loads_inference(json.dumps({"inputs": tensors, "outputs": wanted}).encode())
    assert found is not None
    assert [bits([one.pop("data").tolist()]) for one in found["inputs"]] == [bits([values])] * 2
    assert found["inputs"] == [{name: one[name] for name in ("name", "shape", "datatype")} for one in tensors]
    assert found["outputs"] == wanted


@given(st.binary(max_size=60))
def test_any_bytes_are_left_alone_or_parsed(body: bytes) -> None:
    assert plain_rows.loads(body) is None
    assert plain_rows.loads_inference(body) is None
    assert plain_rows.loads(b'{"data":{"ndarray":' + body) is None or seldon.loads(b'{"data":{"ndarray":' + body)
    assert plain_rows.loads_inference(b'{"inputs":' + body) is None or seldon.loads(b'{"inputs":' + body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[[1]]",
        b'\xef\xbb\xbf{"data": {"ndarray": [[1]]}}',
        b'{"data": {"ndarray": [[1]]}} x',
        b'{"data": {"ndarray": [[NaN]]}}',
        b'{"data": {"ndarray": [[1e400]]}}',
        b'{"data": {"ndarray": []}}',
        b'{"data": {"ndarray": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
    ],
)
def test_what_is_odd_is_left_to_the_general_parser(body: bytes) -> None:
    assert plain_rows.loads(body) is None


@pytest.mark.parametrize(
    "inputs",
    [
        "7",
        "[7]",
        '[{"datatype": "FP64"}]',
        '[{"datatype": "FP64", "data": 7}]',
        '[{"datatype": "FP64", "data": []}]',
        '[{"datatype": "FP64", "data": [1e400]}]',
        '[{"datatype": "FP64", "data": [1, true]}]',
        '[{"datatype": "FP64", "data": [[1], [2]]}]',
        '[{"datatype": "FP64", "data": [1], "data": [2]}]',
        '[{"datatype": "INT64", "data": [1]}]',
        '[{"datatype": ["FP64"], "data": [1]}]',
        '[{"data": [1]}]',
        '[{"datatype": "FP64", "data": [1]}], "inputs": [{"datatype": "FP64", "data": [2]}]',
    ],
)
def test_odd_inputs_are_left_to_the_general_parser(inputs: str) -> None:
    assert plain_rows.loads_inference(f'{{"inputs": {inputs}}}'.encode()) is None


def test_whole_numbers_can_be_left_to_the_general_parser_which_makes_integers_of_them() -> None:
    whole, other = (json.dumps({"data": {"ndarray": [[1, 2], [3, last]]}}).encode() for last in (4, 4.5))
    assert plain_rows.loads(whole, integers=False) is None
    assert plain_rows.loads(whole) is not None
    assert plain_rows.loads(other, integers=False) is not None
    tensor = b'{"data": {"tensor": {"shape": [2], "values": [1, 2]}}}'
    assert plain_rows.loads(tensor, integers=False) is None
    assert plain_rows.loads(tensor) is not None


def test_a_large_body_is_answered_as_a_small_one_is() -> None:
    message = {"data": {"ndarray": [[0.1, 0.2]] * 200_000}}
    body = json.dumps(message).encode()
    assert len(body) > 1 << 20
    assert seldon.parse(plain_rows.loads(body)).payload.shape == (200_000, 2)


def test_of_a_key_that_is_there_twice_the_last_counts_as_in_python() -> None:
    body = b'{"data": {"ndarray": [[1]], "ndarray": [[2]]}, "meta": {"puid": "a", "puid": "b"}}'
    for document in (seldon.loads(body), json.loads(body)):
        message = seldon.parse(document)
        assert message.payload.tolist() == [[2]]
        assert message.puid == "b"
    assert plain_rows.loads(body) is None


def test_an_error_after_many_rows_is_named() -> None:
    rows = [[1.0, 2.0]] * 999 + [[1.0]]
    assert plain_rows.loads(json.dumps({"data": {"ndarray": rows}}).encode()) is None
    with pytest.raises(BadData, match="row 1000 has 1 values"):
        seldon.parse({"data": {"ndarray": rows}})
