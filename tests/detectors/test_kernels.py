import importlib
import logging
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import detectors
from detectors import kernels
from detectors.kernels import kernel

# Fits and judges in every way that a process may need, and counts what is compiled meanwhile.
FIRST_PREDICTIONS = """
from numba.core import event
with event.install_recorder("numba:compile") as compiled:
    from tests.contract.cases import CASES, other_rows
    for case in CASES:
        detector = case.fitted()
        detector.predict(other_rows())
        detector.predict(other_rows()[:1])
        detector.feature_contributions(other_rows())
print(len(compiled.buffer))
"""


def test_a_second_process_compiles_nothing():
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", FIRST_PREDICTIONS],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
    assert done.stdout.strip() == "0"


def modules():
    for module in pkgutil.iter_modules(detectors.__path__):
        yield importlib.import_module(f"detectors.{module.name}")


def test_kernels_call_only_kernels_of_their_own_module():
    """numba would go on using the old code of one that changed elsewhere."""
    found = 0
    for module in modules():
        for name, one in vars(module).items():
            if isinstance(one, Dispatcher) and one.__module__ == module.__name__:
                called = [getattr(module, used, None) for used in one.py_func.__code__.co_names]
                strangers = [
                    other for other in called if isinstance(other, Dispatcher) and other.__module__ != module.__name__
                ]
                assert not strangers, f"{module.__name__}.{name} calls {strangers}"
                found += 1
    assert found > 10


def test_kernels_release_the_lock_and_keep_what_they_compile():
    for module in modules():
        for one in vars(module).values():
            if isinstance(one, Dispatcher):
                assert one.targetoptions["nogil"]
                assert not one.targetoptions.get("parallel")
                assert not one.targetoptions.get("fastmath")
                assert isinstance(one._cache, kernels._KernelCache)


def fused(a, b, c):
    return a * b + c


def quotient(a, b):
    return a / b


def test_operations_are_done_one_after_the_other():
    a = 1.0 + 2.0**-30
    assert kernel(fused)(a, a, -1.0) == a * a - 1.0  # a fused multiply-add would keep a bit more


def test_division_by_zero_is_numpy_s():
    divide = kernel(quotient)
    assert divide(1.0, 0.0) == np.inf
    assert np.isnan(divide(0.0, 0.0))


def no_folder(function):
    raise RuntimeError("cannot cache function: no locator available")


def test_without_any_folder_a_kernel_is_compiled_in_memory(monkeypatch, caplog):
    monkeypatch.setattr(kernels, "_KernelCache", no_folder)
    with caplog.at_level(logging.WARNING):
        assert kernel(fused)(2.0, 3.0, 4.0) == 10.0
    assert "fused is compiled at every start" in caplog.text


@pytest.fixture
def cache_folder(monkeypatch, tmp_path):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    return tmp_path


def test_a_folder_that_cannot_be_written_to_is_no_error(monkeypatch, caplog, cache_folder):
    def refuse(*_):
        raise PermissionError("read-only file system")

    monkeypatch.setattr(kernels.caching.FunctionCache, "_save_overload", refuse)
    with caplog.at_level(logging.WARNING):
        assert kernel(fused)(2.0, 3.0, 4.0) == 10.0
    assert "in memory only" in caplog.text
    assert "read-only file system" in caplog.text


def test_a_folder_filled_before_is_read_without_being_written_to(monkeypatch, cache_folder):
    """What an image with a read-only root does; numba's own locator would try to make a file in it."""
    kernel(fused)(2.0, 3.0, 4.0)
    monkeypatch.setattr(kernels._Provided, "ensure_cache_path", lambda self: pytest.fail("tried to write"))
    again = kernel(fused)
    assert again(2.0, 3.0, 4.0) == 10.0
    assert sum(again.stats.cache_hits.values()) == 1
    assert list(cache_folder.rglob("*.nbi"))


def test_what_was_compiled_with_other_lanes_is_not_used(monkeypatch, cache_folder):
    kernel(fused)(2.0, 3.0, 4.0)
    monkeypatch.setattr(kernels, "_LANES", kernels._LANES + 1)
    again = kernel(fused)
    assert again(2.0, 3.0, 4.0) == 10.0
    assert not again.stats.cache_hits


class Pair(NamedTuple):
    one: float
    other: float


def total(pair):
    return pair.one + pair.other


def test_what_was_compiled_for_a_class_that_is_no_more_is_compiled_anew(monkeypatch, cache_folder):
    kernel(total)(Pair(1.0, 2.0))
    renamed = type("Couple", (Pair,), {"__module__": __name__})
    monkeypatch.setitem(globals(), "Couple", renamed)
    monkeypatch.delitem(globals(), "Pair")
    again = kernel(total)
    assert again(renamed(1.0, 2.0)) == 3.0
    assert sum(kernel(total).stats.cache_hits.values()) == 0
    third = kernel(total)
    assert third(renamed(1.0, 2.0)) == 3.0
    assert sum(third.stats.cache_hits.values()) == 1
