"""Identifiers for requests that came without one."""

import os
from typing import Final

_BYTES: Final = 20
_AT_ONCE: Final = 200  # the system is asked for so many at a time: asking it costs as much as parsing a request

_ready: list[str] = []  # threads take from it: what `pop` gives one, no other gets
os.register_at_fork(after_in_child=_ready.clear)  # what the parent will give out


def new_puid() -> str:
    """An identifier: 40 hex digits, as Seldon Core has them."""
    try:
        return _ready.pop()
    except IndexError:
        digits = os.urandom(_BYTES * _AT_ONCE).hex()
        first, *others = (digits[start : start + 2 * _BYTES] for start in range(0, len(digits), 2 * _BYTES))
        _ready.extend(others)
        return first
