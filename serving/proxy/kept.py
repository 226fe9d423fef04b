"""Connections that are kept by address: made when first needed, the longest unused forgotten when there are many."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

MOST = 64

T = TypeVar("T")


class Kept(Generic[T]):
    """What was made for each address.

    Parameters
    ----------
    make : callable
        Makes what is kept for an address. What is forgotten is not closed: somebody may be using it still.
    """

    def __init__(self, make: Callable[[str], T]) -> None:
        self._make = make
        self._held: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, address: str) -> T:
        """Return what is kept for an address."""
        with self._lock:
            found = self._held.get(address)
            if found is None:
                found = self._held[address] = self._make(address)
                if len(self._held) > MOST:
                    self._held.popitem(last=False)
            else:
                self._held.move_to_end(address)
            return found

    def forget(self, address: str, held: T) -> None:
        """Forget what is kept for an address, if it is still that."""
        with self._lock:
            if self._held.get(address) is held:
                del self._held[address]

    def clear(self) -> list[T]:
        """Forget and return all."""
        with self._lock:
            every = list(self._held.values())
            self._held.clear()
            return every
