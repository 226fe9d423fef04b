"""Whatever bytes come: either an error that is ours, or exactly the numbers that a plain reader finds."""

import csv
import io

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from training.data import read_features
from training.errors import DataError

PIECES = [
    "1",
    "-2.5",
    "1e400",
    "inf",
    "nan",
    "NA",
    "",
    " ",
    "x",
    '"',
    ",",
    ",",
    "\n",
    "\n",
    "\r\n",
    "\r",
    "\0",
    ";",
    "é",
]
PIECES += ["2024-01-01", '"1,5"', "0x1", "1_0", "\t", "#", "+", "1\0", "\ufeff", "1" * 30, "True", '""', "1 2", "٣"]
_MISSING = {"", "NA", "nan"}

texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def plain(text: str) -> list[list[float]]:
    """The rows by Python's own reader; ValueError for what is not numbers in a rectangle."""
    rows = [cells for cells in csv.reader(io.StringIO(text, newline=""), strict=True) if "".join(cells).strip() or '""']
    rows = [cells for cells in rows if cells and not (len(cells) == 1 and cells[0] and not cells[0].strip())]
    names, *rest = rows
    while rest and any(len(cells) > len(names) for cells in rest):
        rest = [cells[: len(names)] if not any(cells[len(names) :]) else [] for cells in rest]
        if [] in rest:
            raise ValueError("too long")
    if any(len(cells) != len(names) for cells in rest):
        raise ValueError("not a rectangle")
    return [[np.nan if cell.strip() in _MISSING else float(cell) for cell in cells] for cells in rest]


@given(texts.map(lambda text: "a,b\n" + text), st.booleans())
@example("a,b\n1\0,2\n", False)
@example("a,b\n1,2\0\n", True)
@example("a,b\n1,\0\n", True)
@example("a,b\n\ufeff,", True)
@example('a,b\n"1"2,3\n', False)
@example('a,b\n1"2",3\n', False)
@example("a,b\n1,2\r3,4\n", False)
@example("a,b\n 1 , 2 \n", False)
def test_numbers_are_those_of_a_plain_reader(text: str, missing: bool) -> None:
    try:
        features = read_features(io.BytesIO(text.encode()), missing=missing, time="none")
    except DataError:
        return
    assert np.array_equal(features.values, plain(text), equal_nan=True)
    assert missing or np.isfinite(features.values).all()


@given(st.binary(max_size=60) | texts.map(str.encode), st.sampled_from(["auto", "required", "none"]), st.booleans())
def test_no_other_error_comes_out(content: bytes, time: str, missing: bool) -> None:
    try:
        features = read_features(io.BytesIO(content), missing=missing, time=time)
    except DataError:
        return
    assert features.values.shape == (len(features), len(features.names))


@given(texts.map(lambda text: "Time,a\n" + text))
def test_times_are_read_or_refused(text: str) -> None:
    try:
        features = read_features(io.BytesIO(text.encode()), missing=True)
    except DataError:
        return
    assert features.times.shape == (len(features),)
    assert not np.isnat(features.times).any()
