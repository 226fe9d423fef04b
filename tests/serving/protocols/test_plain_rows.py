import json
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving.errors import BadData
from serving.protocols import plain_rows, seldon

pytest.importorskip("simdjson")

NUMBER = st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?\Z")
VALUE = st.one_of(NUMBER, st.floats(allow_nan=False, allow_infinity=False).map(repr), st.integers().map(str))


@st.composite
def documents(draw: Any) -> str:
    """Text of a SeldonMessage: mostly of the common shape, with rows of one width or not quite."""
    width = draw(st.integers(0, 4))
    row = st.lists(VALUE, min_size=width, max_size=width)
    rows = draw(st.lists(row if draw(st.integers(0, 5)) else st.lists(VALUE, max_size=4), max_size=5))
    gap = draw(st.sampled_from(["", " ", "\n\t "]))
    ndarray = "[" + f"{gap},".join("[" + f",{gap}".join(row) + "]" for row in rows) + "]"
    odd = draw(st.sampled_from(["", "", "", '"x"', "null", "true", "[1]", "{}", "7"]))
    if odd:
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


@given(documents())
@example('{"data": {"ndarray": [[], [1], [2, 3]]}}')
@example('{"data": {"ndarray": [[1], 2, [3]], "names": ["a"]}}')
@example('{"data": {"ndarray": [[[1]]]}}')
def test_what_it_takes_it_takes_as_the_general_parser_does(text: str) -> None:
    found = plain_rows.loads(text.encode())
    if found is None:
        return
    expected = seldon.loads(text)
    rows = found["data"].pop("ndarray")
    assert bits(rows.tolist()) == bits(json.loads(text)["data"]["ndarray"])
    assert bits(rows.tolist()) == bits(expected["data"].pop("ndarray"))
    assert found == expected


def bits(rows: list[list[float]]) -> list[list[bytes]]:
    # The integer -0 is 0 to one parser and to another, and either to the detectors.
    return [[struct.pack("<d", float(value) + 0.0) for value in row] for row in rows]


@given(st.lists(st.lists(VALUE, min_size=3, max_size=3), min_size=1, max_size=5), st.booleans())
def test_it_takes_the_common_shape(rows: list[list[str]], named: bool) -> None:
    numbers = [[float(value) for value in row] for row in rows]
    if any(value in (float("inf"), -float("inf")) for row in numbers for value in row):
        return
    names = {"names": ["a", "b", "c"]} if named else {}
    body = json.dumps({"data": {**names, "ndarray": numbers}, "meta": {"puid": "x"}}).encode()
    found = plain_rows.loads(body)
    assert found is not None
    assert bits(found["data"]["ndarray"].tolist()) == bits(numbers)
    assert found["meta"] == {"puid": "x"}


@given(st.binary(max_size=60))
def test_any_bytes_are_left_alone_or_parsed(body: bytes) -> None:
    assert plain_rows.loads(body) is None
    assert plain_rows.loads(b'{"data":{"ndarray":' + body) is None or seldon.loads(b'{"data":{"ndarray":' + body)


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


def test_whole_numbers_can_be_left_to_the_general_parser_which_makes_integers_of_them() -> None:
    whole, other = (json.dumps({"data": {"ndarray": [[1, 2], [3, last]]}}).encode() for last in (4, 4.5))
    assert plain_rows.loads(whole, integers=False) is None
    assert plain_rows.loads(whole) is not None
    assert plain_rows.loads(other, integers=False) is not None


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
