"""Pickles that want to do something: refused before any of it happens."""

import contextlib
import copyreg
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from training.errors import ModelDamaged
from training.unpickling import MAX_DEPTH, MAX_INSTRUCTIONS, MAX_VALUES, loads


class Kept:
    """What is admitted here."""

    constructed = 0

    def __init__(self) -> None:
        type(self).constructed += 1

    def __setstate__(self, state: object) -> None:
        self.state = state


CLASSES = frozenset({(Kept.__module__, "Kept")})
GLOBAL = pickle.SHORT_BINUNICODE + bytes([len(Kept.__module__)]) + Kept.__module__.encode() + b"\x8c\x04Kept\x93"
NEW = GLOBAL + b")\x81"


def program(*parts: bytes) -> bytes:
    return b"\x80\x05" + b"".join(parts) + b"."


def kept(state: object) -> bytes:
    made = Kept.__new__(Kept)
    made.state = state
    return pickle.dumps(made, protocol=5)


class Runs:
    """A pickle of it runs a command that leaves a witness."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.witness}",)


@pytest.fixture
def witness(tmp_path: Path):
    path = tmp_path / "it-ran"
    yield path
    assert not path.exists()


PLAIN = {"a": 1, "b": (2.5, b"bytes", None, True), "c": {"d": [1, 2, 2**40]}, "text": "é" * 300, "big": b"0" * 70_000}


def test_plain_values_in_an_admitted_class_come_back() -> None:
    assert vars(loads(kept(PLAIN), CLASSES)) == {"state": {"state": PLAIN}}


def test_a_constructor_is_never_called() -> None:
    before = Kept.constructed
    loads(kept(PLAIN), CLASSES)
    assert Kept.constructed == before


@pytest.mark.parametrize("protocol", range(6))
def test_a_command_is_refused_in_every_protocol(witness: Path, protocol: int) -> None:
    with pytest.raises(ModelDamaged):
        loads(pickle.dumps(Runs(witness), protocol), CLASSES)


@pytest.mark.parametrize("protocol", range(6))
def test_a_command_inside_the_state_is_refused(witness: Path, protocol: int) -> None:
    made = Kept.__new__(Kept)
    made.state = {"a": Runs(witness)}
    with pytest.raises(ModelDamaged):
        loads(pickle.dumps(made, protocol), CLASSES)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy", "ndarray"),
        (Kept.__module__, "Kept.__init__"),
        (Kept.__module__, "Kept.__class__"),
        (Kept.__module__, "os.system"),
        (Kept.__module__, "OrderedDict"),
        (Kept.__module__ + " ", "Kept"),
        ("training.artifacts", "pickle.loads"),
    ],
)
def test_only_exact_names_are_admitted(module: str, name: str) -> None:
    text = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name))
    with pytest.raises(ModelDamaged, match="which has no place in a model file"):
        loads(program(text + b"\x93", b")", b"\x81"), CLASSES)


HOSTILE = {
    "REDUCE of an admitted class": GLOBAL + b")R",
    "REDUCE with arguments": GLOBAL + b"K\x01\x85R",
    "NEWOBJ with arguments": GLOBAL + b"K\x01\x85\x81",
    "NEWOBJ with arguments that are no tuple": GLOBAL + b"]\x81",
    "NEWOBJ_EX": GLOBAL + b")}\x92",
    "NEWOBJ of an instance": NEW + b")\x81",
    "NEWOBJ of text": b"\x8c\x01a)\x81",
    "BUILD on a class": GLOBAL + b"}\x8c\x01aK\x01sb",
    "BUILD on a dict": b"}}b",
    "BUILD on a class in the memo": GLOBAL + b"\x94)\x81h\x00}b",
    "GLOBAL": b"cos\nsystem\n",
    "INST": b"(ios\nsystem\n",
    "OBJ": b"(" + GLOBAL + b"o",
    "EXT1": b"\x82\x01",
    "EXT4": b"\x84\x01\x00\x00\x00",
    "PERSID": b"Pfile\n",
    "BINPERSID": b"K\x01Q",
    "DUP": NEW + b"2",
    "POP": NEW + NEW + b"0",
    "POP_MARK": NEW + b"(K\x011",
    "a set": NEW + b"\x8fb",
    "a frozen set": NEW + b"(\x91b",
    "an out-of-band buffer": NEW + b"\x97b",
    "BYTEARRAY8 of 2**62 bytes": b"\x96" + struct.pack("<Q", 2**62),
    "BINBYTES8 of 2**62 bytes": b"\x8e" + struct.pack("<Q", 2**62),
    "LONG4 of 2**31 - 1 bytes": b"\x8b" + struct.pack("<i", 2**31 - 1),
    "LONG in decimal": b"L" + b"9" * 5000 + b"L\n",
    "LONG_BINPUT far out": NEW + b"r" + struct.pack("<I", 2**31),
    "BINPUT": NEW + b"q\x00",
    "a class as a value": NEW + b"}\x8c\x01a" + GLOBAL + b"sb",
    "a tuple as a key": NEW + b"})K\x01sb",
    "a number as a key": NEW + b"}K\x01K\x01sb",
    "bytes as a key": NEW + b"}C\x01aK\x01sb",
    "keys without values": NEW + b"}(\x8c\x01aub",
    "a list that holds itself": NEW + b"]\x94h\x00ab",
    "a dict that holds itself": NEW + b"}\x94\x8c\x01ah\x00sb",
    "an object that holds itself": NEW + b"\x94h\x00b",
    "a reference to nothing": NEW + b"h\x07b",
    "a mark without an end": NEW + b"(",
    "a tuple without a mark": NEW + b"tb",
    "items without a mark": NEW + b"}ub",
    "operands across a mark": b"K\x01(\x86",
    "an empty stack": b"b",
    "nothing": b"",
    "two objects": NEW + NEW,
    "no object": b"K\x01",
    "memoizing a mark": NEW + b"(\x94t",
    "appending to a tuple": NEW + b")K\x01ab",
    "items of a list": NEW + b"]\x8c\x01aK\x01sb",
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_programs_that_no_writer_writes_are_refused(hostile: bytes) -> None:
    before = (Kept.constructed, dict(vars(Kept)))
    with pytest.raises(ModelDamaged):
        loads(program(hostile), CLASSES)
    assert (Kept.constructed, dict(vars(Kept))) == before


@pytest.mark.parametrize("change", [b"", b"N.", b"\x80\x05N."])
def test_nothing_follows_the_end(change: bytes) -> None:
    data = kept(PLAIN)
    if change:
        with pytest.raises(ModelDamaged, match="follows the end"):
            loads(data + change, CLASSES)
    else:
        loads(data, CLASSES)


def test_a_truncated_pickle_is_refused_wherever_it_ends() -> None:
    data = kept(PLAIN)
    for length in [*range(200), *range(len(data) - 200, len(data))]:
        with pytest.raises(ModelDamaged):
            loads(data[:length], CLASSES)


def test_flipped_bytes_give_values_or_an_error_but_nothing_else() -> None:
    data = kept({"a": 1, "b": (2.5, b"bytes"), "c": [1, "text"]})
    for index in range(len(data)):
        for bit in range(8):
            flipped = data[:index] + bytes([data[index] ^ 1 << bit]) + data[index + 1 :]
            with contextlib.suppress(ModelDamaged):
                assert type(loads(flipped, CLASSES)) is Kept


def test_an_object_array_is_refused() -> None:
    with pytest.raises(ModelDamaged, match="numpy"):
        loads(kept({"a": np.array([1, "a"], dtype=object)}), CLASSES)


@pytest.mark.parametrize("value", [OrderedDict(a=1), {1, 2}, 1j, copyreg, Path("a")], ids=str)
def test_other_types_are_refused(value: object) -> None:
    try:
        data = kept(value)
    except TypeError:
        pytest.skip("cannot be pickled at all")
    with pytest.raises(ModelDamaged):
        loads(data, CLASSES)


def test_nesting_is_limited() -> None:
    with pytest.raises(ModelDamaged, match="nested"):
        loads(program(NEW, b")" + b"\x85" * (MAX_DEPTH + 1), b"b"), CLASSES)
    with pytest.raises(ModelDamaged, match="nested"):
        loads(program(NEW, b")" + b"\x85" * 2_000_000, b"b"), CLASSES)


def test_values_that_multiply_are_refused() -> None:
    doubling = b"".join(b"\x94h" + bytes([index]) + b"\x86" for index in range(14))
    with pytest.raises(ModelDamaged, match="nested"):
        loads(program(NEW, b")", doubling * 4, b"b"), CLASSES)
    hundreds = b"(" + b"N" * 1000 + b"t\x94" + b"(" + b"h\x00" * (MAX_VALUES // 1000) + b"t"
    with pytest.raises(ModelDamaged, match="more than"):
        loads(program(NEW, hundreds, b"b"), CLASSES)


def test_endless_programs_are_refused() -> None:
    with pytest.raises(ModelDamaged, match="instructions"):
        loads(program(NEW, b"N" * (MAX_INSTRUCTIONS + 1)), CLASSES)


def test_a_state_that_its_class_refuses_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(made: Kept, state: object) -> None:
        raise ValueError("not this")

    monkeypatch.setattr(Kept, "__setstate__", refuse)
    with pytest.raises(ModelDamaged, match="not this"):
        loads(program(NEW, b"}b"), CLASSES)
