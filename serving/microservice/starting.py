"""Less to do until a process that serves is ready.

scikit-learn's base classes come with pandas, all statistics of scipy and more, for functions that no detector calls:
two thirds of the time until a server answers, and a third of its memory.
"""

import gc
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

NOT_NEEDED: Final = ("pandas", "scipy.stats", "scipy.special", "numpy.f2py")
"""What is imported with scikit-learn's base classes, and not used by them."""


class _StandIn(ModuleType):
    """In the place of a module while others import it: the first name that is asked for imports the module.

    `importlib.util.LazyLoader` would leave it in `sys.modules` for good. There scikit-learn looks, in every validation,
    whether pandas has been imported, and its question would import pandas. And in Python up to 3.11.8 and 3.12.2 a
    second thread may find such a module empty.
    """

    def place(self) -> None:
        sys.modules[self.__name__] = self
        parent, _, child = self.__name__.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, self)

    def remove(self) -> None:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        parent, _, child = self.__name__.rpartition(".")
        if parent and vars(sys.modules[parent]).get(child) is self:
            delattr(sys.modules[parent], child)

    def __getattr__(self, name: str) -> Any:
        self.remove()
        return getattr(importlib.import_module(self.__name__), name)


def import_scikit_learn() -> None:
    """Import scikit-learn's base classes without what is `NOT_NEEDED`.

    That is imported when scikit-learn calls a function of it after all, and as ever by whoever else imports it. To be
    called while the process has one thread.
    """
    if "sklearn" in sys.modules:
        return
    absent = [name for name in NOT_NEEDED if name not in sys.modules and importlib.util.find_spec(name) is not None]
    stand_ins = [_StandIn(name) for name in absent]
    for stand_in in stand_ins:
        stand_in.place()
    try:
        importlib.import_module("sklearn.base")
    finally:
        for stand_in in stand_ins:
            stand_in.remove()


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection while a ``with`` block imports: it would walk through all of that again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
