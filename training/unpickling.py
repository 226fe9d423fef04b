"""A pickle of ours, read without letting it run anything.

A pickle is a program, and `find_class` guards only one of its instructions. So before the interpreter starts, the
program is walked once, instruction by instruction, and run on *kinds* instead of values. Refused there, with nothing
executed:

* instructions off the list: ``REDUCE``, ``INST`` and ``OBJ`` call, ``EXT`` and ``PERSID`` fetch, ``BYTEARRAY8`` and
  ``LONG_BINPUT`` reserve memory for whatever number the file claims;
* classes off the list, by exact module and name: a prefix such as ``numpy.*`` admits functions that run code;
* ``NEWOBJ`` of anything but such a class, or with arguments, and ``BUILD`` on anything but its instance (on a class it
  could set attributes);
* keys that are not text (hashing nested tuples can take forever) and values nested deep or shared over and over.

So what is built is plain values, and fresh instances whose ``__setstate__`` checks them.
"""

import io
import pickle
import pickletools
from dataclasses import dataclass
from typing import Any

from training.errors import ModelDamaged

MAX_DEPTH = 16
"""Containers within containers. A model has 5."""

MAX_VALUES = 100_000
"""Values in one container and what it holds, shared ones counted each time. A model has about 100."""

MAX_INSTRUCTIONS = 1_000_000
"""What is walked through takes a second then. A model has about 200."""

_LONG = 1 << 16  # bytes; a text or an array of this length is looked at where it is

_TEXTS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_ATOMS = {
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass
class _Value:
    """What is known of a value without making it."""

    kind: str
    text: str | None = None
    depth: int = 0
    count: int = 1

    def hold(self, parts: list["_Value"]) -> "_Value":
        if any(part.kind == "class" for part in parts):
            raise ModelDamaged("a class among the values")
        self.depth = max([self.depth, *(part.depth + 1 for part in parts)])
        self.count += sum(part.count for part in parts)
        if self.depth > MAX_DEPTH:
            raise ModelDamaged(f"values are nested more than {MAX_DEPTH} deep")
        if self.count > MAX_VALUES:
            raise ModelDamaged(f"more than {MAX_VALUES} values")
        return self


class _Program(io.BytesIO):
    """The bytes of a pickle; long arguments are views of them, not copies."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = memoryview(data)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < _LONG:
            return super().read(size)
        start = self.tell()
        view = self._data[start : start + size]
        self.seek(start + len(view))
        return view  # type: ignore[return-value]  # all that genops does with it is to ask for its length


class _DryRun:
    """The stack machine of pickle, on kinds of values."""

    def __init__(self, classes: frozenset[tuple[str, str]]) -> None:
        self.classes = classes
        self.stack: list[_Value] = []
        self.memo: list[_Value] = []
        self.size = 0

    def run(self, data: bytes) -> None:
        self.size = len(data)
        for count, (opcode, argument, position) in enumerate(pickletools.genops(_Program(data))):
            if count == MAX_INSTRUCTIONS:
                raise ModelDamaged(f"more than {MAX_INSTRUCTIONS} instructions")
            self.step(opcode.name, argument)
            if opcode.name == "STOP" and position != len(data) - 1:
                raise ModelDamaged("something follows the end of the model")
        if [value.kind for value in self.stack] != ["object"]:
            raise ModelDamaged("not one object")

    def step(self, name: str, argument: Any) -> None:
        if name in _TEXTS:
            self.stack.append(_Value("text", text=argument))
        elif name in _ATOMS:
            self.stack.append(_Value("atom"))
        elif name in _TUPLES:
            self.stack.append(_Value("tuple").hold(self.pop(_TUPLES[name])))
        else:
            instruction = getattr(self, f"on_{name.lower()}", None)
            if instruction is None:
                raise ModelDamaged(f"the instruction {name} has no place in a model file")
            instruction(argument)

    def pop(self, count: int) -> list[_Value]:
        if count == 0:
            return []
        popped = self.stack[-count:]
        if len(popped) != count or any(value.kind == "mark" for value in popped):
            raise ModelDamaged("an instruction without its operands")
        del self.stack[-count:]
        return popped

    def pop_to_mark(self) -> list[_Value]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index].kind == "mark":
                popped = self.stack[index + 1 :]
                del self.stack[index:]
                return popped
        raise ModelDamaged("an instruction without its mark")

    def top(self, kind: str) -> _Value:
        if not self.stack or self.stack[-1].kind != kind:
            raise ModelDamaged(f"an instruction for a {kind} on something else")
        return self.stack[-1]

    def on_proto(self, _: int) -> None:
        """Nothing to do: the interpreter refuses those it does not know."""

    def on_stop(self, _: None) -> None:
        """Nothing is left to do."""

    def on_frame(self, size: int) -> None:
        if size > self.size:
            raise ModelDamaged("a frame larger than the file")

    def on_mark(self, _: None) -> None:
        self.stack.append(_Value("mark"))

    def on_empty_list(self, _: None) -> None:
        self.stack.append(_Value("list"))

    def on_empty_dict(self, _: None) -> None:
        self.stack.append(_Value("dict"))

    def on_tuple(self, _: None) -> None:
        self.stack.append(_Value("tuple").hold(self.pop_to_mark()))

    def on_append(self, _: None) -> None:
        parts = self.pop(1)
        self.top("list").hold(parts)

    def on_appends(self, _: None) -> None:
        parts = self.pop_to_mark()
        self.top("list").hold(parts)

    def on_setitem(self, _: None) -> None:
        self.set_items(self.pop(2))

    def on_setitems(self, _: None) -> None:
        self.set_items(self.pop_to_mark())

    def set_items(self, items: list[_Value]) -> None:
        if len(items) % 2 or any(key.kind != "text" for key in items[::2]):
            raise ModelDamaged("a key that is not text")
        self.top("dict").hold(items)

    def on_memoize(self, _: None) -> None:
        if not self.stack or self.stack[-1].kind == "mark":
            raise ModelDamaged("an instruction without its operands")
        self.memo.append(self.stack[-1])

    def on_binget(self, index: int) -> None:
        if index >= len(self.memo):
            raise ModelDamaged("a reference to nothing")
        value = self.memo[index]
        if value.kind in ("list", "dict", "object"):  # the ones that could be made to hold themselves
            raise ModelDamaged(f"a {value.kind} is used twice")
        self.stack.append(value)

    on_long_binget = on_binget

    def on_stack_global(self, _: None) -> None:
        module, name = self.pop(2)
        if module.text is None or name.text is None or (module.text, name.text) not in self.classes:
            raise ModelDamaged(f"it names {module.text}.{name.text}, which has no place in a model file")
        self.stack.append(_Value("class"))

    def on_newobj(self, _: None) -> None:
        made_of, arguments = self.pop(2)
        if made_of.kind != "class" or arguments.kind != "tuple" or arguments.count != 1:
            raise ModelDamaged("an object of no class, or with arguments")
        self.stack.append(_Value("object"))

    def on_build(self, _: None) -> None:
        parts = self.pop(1)
        self.top("object").hold(parts)


class _Reader(pickle.Unpickler):
    """Resolves the listed classes, and imports nothing but their modules."""

    def __init__(self, data: bytes, classes: frozenset[tuple[str, str]]) -> None:
        super().__init__(io.BytesIO(data))
        self._classes = classes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._classes:
            raise ModelDamaged(f"it names {module}.{name}, which has no place in a model file")
        return super().find_class(module, name)


def check(data: bytes, classes: frozenset[tuple[str, str]]) -> None:
    """Walk through a pickle and see that it consists of plain values and instances of the listed classes.

    Parameters
    ----------
    data : bytes
        The pickle.
    classes : frozenset of (module, name)
        The only classes it may hold.

    Raises
    ------
    ModelDamaged
        If it holds anything else. Nothing in it is run in any case.
    """
    try:
        _DryRun(classes).run(data)
    except (ValueError, IndexError, UnicodeError) as error:  # genops on what is no pickle, or a truncated one
        raise ModelDamaged(f"not a pickle: {error}") from error


def loads(data: bytes, classes: frozenset[tuple[str, str]]) -> Any:
    """Read a pickle that consists of plain values and instances of the listed classes.

    Parameters
    ----------
    data : bytes
        The pickle.
    classes : frozenset of (module, name)
        The only classes it may hold; each checks its state in ``__setstate__``.

    Returns
    -------
    object
        An instance of one of them.

    Raises
    ------
    ModelDamaged
        If it holds anything else. Nothing in it has been run then.
    """
    check(data, classes)
    try:
        return _Reader(data, classes).load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise ModelDamaged(str(error)) from error
