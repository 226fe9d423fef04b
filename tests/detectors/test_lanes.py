import numpy as np
import pytest
from numba.core.errors import TypingError

from detectors import lanes
from detectors.kernels import kernel
from detectors.lanes import LANES, fill, larger, load, load8, lowest, smaller, spread, store

ONE = np.random.default_rng(0).normal(size=LANES + 4)
OTHER = np.random.default_rng(1).normal(size=LANES + 4)
PART = slice(3, 3 + LANES)  # no array begins there, and no register is aligned to it


def sums(one, other, found):
    store(found, 3, load(one, 3) + load(other, 3))


def differences(one, other, found):
    store(found, 3, load(one, 3) - load(other, 3))


def products(one, other, found):
    store(found, 3, load(one, 3) * load(other, 3))


def larger_ones(one, other, found):
    store(found, 3, larger(load(one, 3), load(other, 3)))


def smaller_ones(one, other, found):
    store(found, 3, smaller(load(one, 3), load(other, 3)))


def chosen(one, other, found):
    at_most = lanes.at_most(load(one, 3), load(other, 3))
    store(found, 3, lanes.choose(at_most, spread(one, 5), fill(other[0])))


ARITHMETIC = {
    sums: np.add,
    differences: np.subtract,
    products: np.multiply,
    larger_ones: np.maximum,
    smaller_ones: np.minimum,
    chosen: lambda one, other: np.where(one <= other, ONE.astype(one.dtype)[5], OTHER.astype(one.dtype)[0]),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("function", ARITHMETIC, ids=lambda function: function.__name__)
def test_numbers_side_by_side_are_as_numbers_alone(function, dtype):
    one, other, found = ONE.astype(dtype), OTHER.astype(dtype), np.full(len(ONE), 7, dtype)
    kernel(function)(one, other, found)
    expected = np.full(len(ONE), 7, dtype)
    expected[PART] = ARITHMETIC[function](one[PART], other[PART])
    np.testing.assert_array_equal(found, expected)


def test_products_and_sums_of_64_bits_are_rounded_one_by_one():
    def expression(one, other, found):
        store(found, 0, load(one, 0) * load(one, 0) - load(other, 0))

    one = np.full(LANES, 1.0 + 2.0**-30)
    found = np.empty(LANES)
    kernel(expression)(one, one * one, found)
    assert (found == 0.0).all()


def narrow(numbers: np.ndarray, found: np.ndarray, ints: np.ndarray, outcomes: np.ndarray, picked: np.ndarray) -> None:
    some = load(numbers, 0)
    store(found, 0, lanes.absolute(some))
    store(found, LANES, lanes.above_zero(some))
    store(found, 2 * LANES, lanes.fused(some, some, fill(np.float32(1.0))))
    store(ints, 0, lanes.as_ints(some))
    store(ints, LANES, lanes.upper_half(lanes.as_ints(some)))
    store(ints, 2 * LANES, lanes.as_ints(some) & fill(np.int32(0xFFFF)))
    store(ints, 3 * LANES, lanes.signs(some) | lanes.as_ints(fill(np.float32(0.0))))
    outcomes[0] = lanes.bits(lanes.at_most(some, fill(np.float32(0.0))))
    outcomes[1] = lanes.bits(lanes.at_most(load8(numbers, 4), load8(numbers, 5)))
    picked[0], picked[1] = lanes.pick(some, 7), lanes.read(numbers, 8)


def test_numbers_of_32_bits_and_their_bits():
    numbers = ONE[:LANES].astype(np.float32)
    numbers[[2, 3]] = [0.0, -0.0]
    found, ints = np.empty((3, LANES), np.float32), np.empty((4, LANES), np.int32)
    outcomes, picked = np.empty(2, np.uint64), np.empty(2, np.float32)
    kernel(narrow)(numbers, found.reshape(-1), ints.reshape(-1), outcomes, picked)
    np.testing.assert_array_equal(found[0], np.abs(numbers))
    np.testing.assert_array_equal(found[1], np.where(numbers > 0, numbers, 0))
    np.testing.assert_allclose(found[2], numbers.astype(np.float64) ** 2 + 1.0, rtol=2.0**-23)
    words = numbers.view(np.int32)
    np.testing.assert_array_equal(ints, [words, words >> 16, words & 0xFFFF, words >> 31])
    places = 2 ** np.arange(LANES)
    assert outcomes.tolist() == [
        ((numbers <= 0) * places).sum(),
        ((numbers[4:12] <= numbers[5:13]) * places[:8]).sum(),
    ]
    np.testing.assert_array_equal(picked, numbers[7:9])


def test_the_lowest_bit():
    def place_of(number):
        return lowest(number)

    found = kernel(place_of)
    assert [found(np.uint64(2**place | 2**63)) for place in range(64)] == list(range(64))


def test_there_are_no_lanes_of_other_numbers():
    with pytest.raises(TypingError, match="no lanes of"):
        kernel(lambda array: lanes.pick(load(array, 0), 0))(np.zeros(LANES, np.complex128))


def test_lanes_of_different_kinds_do_not_mix():
    def mixed(one, other, found):
        store(found, 0, load(one, 0) + load(other, 0))

    with pytest.raises(TypingError):
        kernel(mixed)(np.zeros(LANES), np.zeros(LANES, np.float32), np.zeros(LANES))
