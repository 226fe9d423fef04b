"""Numbers side by side in a kernel: what one instruction of the processor, or a few, does to sixteen of them at once.

Loops over numbers are vectorised by the compiler where it can keep one loop's state in memory. Where it has to stay in
registers across an inner loop, or where the outcome of comparisons is wanted as bits, a kernel says so with these. They
are the vectors of LLVM, so every processor does them with the registers it has: two of AVX2, one of AVX-512, four of
Neon. Indices are not checked and never count from the end; arrays have one dimension and no gaps.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

LANES = 16
"""How many numbers lie side by side; of numbers of 32 bits half as many do, too (`load8`)."""

_instruction: Any = intrinsic  # what numba makes of a function has not the function's parameters
_WORD = ir.IntType(32)
_KINDS: dict[Any, Any] = {
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
    types.int32: _WORD,
    types.boolean: ir.IntType(1),
}


class Lanes(types.Type):
    """The type of numbers side by side, or of the outcomes of a comparison of them."""

    def __init__(self, element: Any, count: int) -> None:
        self.element, self.count = element, count
        super().__init__(name=f"Lanes({element}, {count})")

    @property
    def vector(self) -> Any:
        """What LLVM calls it."""
        return ir.VectorType(_KINDS[self.element], self.count)


@register_model(Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, lanes.vector)


def _lanes(element: Any, count: int = LANES) -> Lanes:
    element = types.unliteral(element)
    if element not in _KINDS:
        raise TypingError(f"no lanes of {element}")
    return Lanes(element, count)


def _constant(value: int, count: int) -> Any:
    return ir.Constant(ir.VectorType(_WORD, count), [value] * count)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _broadcast(builder: Any, value: Any, lanes: Lanes) -> Any:
    nothing = ir.Constant(lanes.vector, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, nothing, _constant(0, lanes.count))


def _is_float(lanes: Lanes) -> bool:
    return isinstance(lanes.element, types.Float)


def _loaded(array: Any, index: Any, count: int) -> Any:
    lanes = _lanes(array.dtype, count)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature.args[0], *args)
        value = builder.load(builder.bitcast(address, lanes.vector.as_pointer()))
        value.align = array.dtype.bitwidth // 8
        return value

    return lanes(array, index), build


@_instruction
def load(typing: Any, array: Any, first: Any) -> Any:  # noqa: ARG001
    """Sixteen numbers of an array, from `first` on."""
    return _loaded(array, first, LANES)


@_instruction
def load8(typing: Any, array: Any, first: Any) -> Any:  # noqa: ARG001
    """Eight numbers of an array, from `first` on."""
    return _loaded(array, first, LANES // 2)


@_instruction
def store(typing: Any, array: Any, first: Any, lanes: Any) -> Any:  # noqa: ARG001
    """Write numbers to an array, from `first` on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature.args[0], *args[:2])
        written = builder.store(args[2], builder.bitcast(address, lanes.vector.as_pointer()))
        written.align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, first, lanes), build


@_instruction
def fill(typing: Any, number: Any) -> Any:  # noqa: ARG001
    """The same number in every lane."""
    lanes = _lanes(number)
    return lanes(lanes.element), lambda _, builder, __, args: _broadcast(builder, args[0], lanes)


@_instruction
def spread(typing: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """One number of an array in every lane."""
    lanes = _lanes(array.dtype)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _broadcast(builder, builder.load(_address(context, builder, signature.args[0], *args)), lanes)

    return lanes(array, index), build


@_instruction
def read(typing: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """One number of an array."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, signature.args[0], *args))

    return array.dtype(array, index), build


@_instruction
def pick(typing: Any, lanes: Any, index: Any) -> Any:  # noqa: ARG001
    """The number in one of the lanes."""
    return lanes.element(lanes, types.intp), lambda _, builder, __, args: builder.extract_element(*args)


def _operator(symbol: Any, of_floats: str | None, of_ints: str | None) -> None:
    """Let kernels write an operation of lanes as one of numbers. Of floats it is rounded as that of single ones."""

    @type_callable(symbol)
    def _(context: Any) -> Callable[..., Any]:  # noqa: ARG001
        def type_of(one: Any, other: Any) -> Any:
            return one if isinstance(one, Lanes) and one == other else None

        return type_of

    @lower_builtin(symbol, Lanes, Lanes)
    def _(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        name = of_floats if _is_float(signature.return_type) else of_ints
        if name is None:
            raise TypingError(f"no {symbol.__name__} of {signature.return_type}")
        return getattr(builder, name)(*args)


_operator(operator.add, "fadd", "add")
_operator(operator.sub, "fsub", "sub")
_operator(operator.mul, "fmul", "mul")
_operator(operator.and_, None, "and_")
_operator(operator.or_, None, "or_")


@_instruction
def fused(typing: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001
    """``a * b + c``, rounded once or twice, whatever is faster: not for what has to be the same bits everywhere."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        product = builder.fmul(args[0], args[1], flags=("contract",))
        return builder.fadd(product, args[2], flags=("contract",))

    return a(a, b, c), build


def _compared(builder: Any, symbol: str, lanes: Lanes, args: Any) -> Any:
    return (builder.fcmp_ordered if _is_float(lanes) else builder.icmp_signed)(symbol, *args)


@_instruction
def larger(typing: Any, one: Any, other: Any) -> Any:  # noqa: ARG001
    """The larger of two numbers, in every lane."""
    return one(one, other), lambda _, builder, __, args: builder.select(_compared(builder, ">", one, args), *args)


@_instruction
def smaller(typing: Any, one: Any, other: Any) -> Any:  # noqa: ARG001
    """The smaller of two numbers, in every lane."""
    return one(one, other), lambda _, builder, __, args: builder.select(_compared(builder, "<", one, args), *args)


@_instruction
def at_most(typing: Any, one: Any, other: Any) -> Any:  # noqa: ARG001
    """Where one number is at most another: for `choose` and `bits`."""
    outcome = _lanes(types.boolean, one.count)
    return outcome(one, other), lambda _, builder, __, args: _compared(builder, "<=", one, args)


@_instruction
def choose(typing: Any, outcome: Any, one: Any, other: Any) -> Any:  # noqa: ARG001
    """`one` where a comparison holds, `other` elsewhere."""
    return one(outcome, one, other), lambda _, builder, __, args: builder.select(*args)


@_instruction
def as_ints(typing: Any, lanes: Any) -> Any:  # noqa: ARG001
    """The bits of numbers of 32 bits, read as integers."""
    ints = _lanes(types.int32, lanes.count)
    return ints(lanes), lambda _, builder, __, args: builder.bitcast(args[0], ints.vector)


@_instruction
def upper_half(typing: Any, ints: Any) -> Any:  # noqa: ARG001
    """The upper sixteen bits of integers in the lower ones, below copies of the sign."""
    return ints(ints), lambda _, builder, __, args: builder.ashr(args[0], _constant(16, ints.count))


@_instruction
def absolute(typing: Any, lanes: Any) -> Any:  # noqa: ARG001
    """Numbers of 32 bits without their sign."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        bits = builder.bitcast(args[0], ir.VectorType(_WORD, lanes.count))
        return builder.bitcast(builder.and_(bits, _constant(0x7FFFFFFF, lanes.count)), lanes.vector)

    return lanes(lanes), build


@_instruction
def above_zero(typing: Any, lanes: Any) -> Any:  # noqa: ARG001
    """Numbers of 32 bits, or 0 where they are negative."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        bits, zero = builder.bitcast(args[0], ir.VectorType(_WORD, lanes.count)), _constant(0, lanes.count)
        # As integers: processors compare those on more of their units.
        return builder.bitcast(builder.select(builder.icmp_signed(">", bits, zero), bits, zero), lanes.vector)

    return lanes(lanes), build


def _as_bits(builder: Any, outcome: Any, count: int) -> Any:
    return builder.zext(builder.bitcast(outcome, ir.IntType(count)), ir.IntType(64))


@_instruction
def bits(typing: Any, outcome: Any) -> Any:  # noqa: ARG001
    """The outcome of a comparison as an integer, lane 0 in its lowest bit."""
    return types.uint64(outcome), lambda _, builder, __, args: _as_bits(builder, args[0], outcome.count)


@_instruction
def signs(typing: Any, lanes: Any) -> Any:  # noqa: ARG001
    """All bits where numbers of 32 bits have a sign, else none."""
    ints = _lanes(types.int32, lanes.count)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.ashr(builder.bitcast(args[0], ints.vector), _constant(31, lanes.count))

    return ints(lanes), build


@_instruction
def lowest(typing: Any, number: Any) -> Any:  # noqa: ARG001
    """Which is the lowest bit that is set, of a number that is not 0."""
    return types.int64(types.uint64), lambda _, builder, __, args: builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))
