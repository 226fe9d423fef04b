"""Numbers that several processes count and any of them shows, without a lock.

Each worker writes to its own part of one shared memory, and reads all parts when somebody asks. A part holds
values, the text that says what each value is, and a ring of rows that were scored lately.
"""

import mmap
import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

VALUES: Final = 8192
_TEXT_BYTES: Final = 1 << 20
_RING_VALUES: Final = 1 << 17
RING_ROWS: Final = 10_000
_HEADER_BYTES: Final = 64
_FEW_VALUES: Final = 16  # up to here Python writes a row sooner than numpy
_PART_BYTES: Final = _HEADER_BYTES + 8 * VALUES + _TEXT_BYTES + 8 * _RING_VALUES


class BoardFull(Exception):
    """There is no room for another metric."""


class Board:
    """The shared memory, made before the workers are.

    Parameters
    ----------
    workers : int
        How many parts there are.
    """

    def __init__(self, workers: int = 1) -> None:
        self._memory = mmap.mmap(-1, workers * _PART_BYTES)
        self.parts = [Part(memoryview(self._memory)[k * _PART_BYTES : (k + 1) * _PART_BYTES]) for k in range(workers)]


class Part:
    """What one worker writes. A worker that takes the place of one that died counts on.

    Parameters
    ----------
    memory : memoryview
        Its bytes, all zero at first. The header: how much text, how many values, how many ring rows of what width.

    Attributes
    ----------
    values : memoryview of float64
        To be counted up in place.
    """

    def __init__(self, memory: memoryview) -> None:
        self._header = memory[:_HEADER_BYTES].cast("q")
        end = _HEADER_BYTES + 8 * VALUES
        self.values = memory[_HEADER_BYTES:end].cast("d")
        self._text = memory[end : end + _TEXT_BYTES]
        ring = memory[end + _TEXT_BYTES :]
        self._ring = np.frombuffer(ring, np.float64)
        self._ring_values = ring.cast("d")

    def define(self, what: dict[str, Any], n_values: int) -> int:
        """Take some values and write down what they are.

        Parameters
        ----------
        what : dict
            For JSON; ``at`` is added.
        n_values : int
            How many.

        Returns
        -------
        int
            Index of the first in `values`.

        Raises
        ------
        BoardFull
            If there is no room.
        """
        text_bytes, at = self._header[0], self._header[1]
        line = orjson.dumps({**what, "at": at}) + b"\n"
        if at + n_values > VALUES or text_bytes + len(line) > _TEXT_BYTES:
            raise BoardFull
        self._text[text_bytes : text_bytes + len(line)] = line
        self._header[1] = at + n_values
        self._header[0] = text_bytes + len(line)  # last: a reader goes by it
        return at

    def definitions(self) -> Iterator[dict[str, Any]]:
        """What was defined so far."""
        text = bytes(self._text[: self._header[0]])
        return (orjson.loads(line) for line in text.splitlines())

    def remember(self, rows: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], model: int) -> None:
        """Put rows and their scores into the ring.

        Parameters
        ----------
        rows : ndarray of shape (n, d)
            As scored.
        scores : ndarray of shape (n,)
            Of them.
        model : int
            Which model scored them; rows of another are forgotten.
        """
        n, d = rows.shape
        capacity = min(RING_ROWS, _RING_VALUES // (d + 1))
        if not capacity:
            return
        header = self._header
        if header[3] != d or header[4] != model:
            header[2], header[3], header[4] = 0, d, model
        count = header[2]
        if n == 1:
            place, values = count % capacity, self._ring_values
            first = place * d
            if d <= _FEW_VALUES:
                for index, value in enumerate(rows.ravel().tolist(), first):
                    values[index] = value
            else:
                self._ring[first : first + d] = rows[0]
            values[capacity * d + place] = float(scores[0])
        else:
            ring, ring_scores = self._ring_of(capacity, d)
            rows, scores = rows[-capacity:], scores[-capacity:]
            start = (count + n - len(rows)) % capacity
            until_end = capacity - start
            ring[start : start + len(rows)] = rows[:until_end]
            ring_scores[start : start + len(rows)] = scores[:until_end]
            if len(rows) > until_end:
                ring[: len(rows) - until_end] = rows[until_end:]
                ring_scores[: len(rows) - until_end] = scores[until_end:]
        header[2] = count + n

    def remembered(self, d: int, model: int) -> npt.NDArray[np.float64]:
        """The rows of the ring.

        Parameters
        ----------
        d : int
            Features of the model.
        model : int
            Which model.

        Returns
        -------
        ndarray of shape (n, d + 1)
            Rows with their score; none if the ring is about another model.
        """
        capacity = min(RING_ROWS, _RING_VALUES // (d + 1))
        if self._header[3] != d or self._header[4] != model or not capacity:
            return np.empty((0, d + 1))
        ring, ring_scores = self._ring_of(capacity, d)
        filled = min(self._header[2], capacity)
        return np.column_stack([ring[:filled], ring_scores[:filled]])

    def _ring_of(self, capacity: int, d: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The ring's rows, and their scores, which follow them."""
        end = capacity * d
        return self._ring[:end].reshape(capacity, d), self._ring[end : end + capacity]


def tag(text: str) -> int:
    """A number that stands for a text, the same in every process."""
    import hashlib

    return int(struct.unpack("<q", hashlib.blake2b(text.encode(), digest_size=8).digest())[0])
