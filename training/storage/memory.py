"""Files in memory: for tests, and for jobs whose results nobody keeps."""

import io
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from training.errors import FileExists, FileMissing
from training.storage.base import Entry, Storage
from training.storage.keys import shown
from training.storage.staged import StagedFile


class MemoryStorage(Storage):
    """Files of this object; safe to use from several threads."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    def sweep(self, older_than: float) -> int:  # noqa: ARG002
        """Nothing to remove: what is abandoned here is freed.

        Parameters
        ----------
        older_than : float
            Seconds.

        Returns
        -------
        int
            0.
        """
        return 0

    def _get(self, key: str) -> tuple[bytes, float]:
        try:
            return self._files[key]
        except KeyError:
            raise FileMissing(f"{shown(key)}: no such file") from None

    def _put(self, key: str, data: bytes, overwrite: bool) -> None:
        with self._lock:
            if key in self._files and not overwrite:
                raise FileExists(f"{shown(key)}: there is such a file already")
            self._files[key] = (data, time.time())

    def _open(self, key: str) -> tuple[Entry, BinaryIO]:
        data, modified = self._get(key)
        return Entry(key, len(data), modified), io.BytesIO(data)

    def _stage(self, key: str) -> StagedFile:
        return _StagedInMemory(self, key)

    def _entry(self, key: str) -> Entry:
        data, modified = self._get(key)
        return Entry(key, len(data), modified)

    def _list(self, folder: str) -> Iterator[Entry]:
        inside = f"{folder}/" if folder else ""
        with self._lock:
            found = {key: file for key, file in self._files.items() if key.startswith(inside)}
        return (Entry(key, len(data), modified) for key, (data, modified) in sorted(found.items()))

    def _delete(self, key: str) -> None:
        with self._lock:
            self._get(key)
            del self._files[key]


class _StagedInMemory(StagedFile):
    def __init__(self, storage: MemoryStorage, key: str) -> None:
        super().__init__(key)
        self._storage = storage
        self._data = bytearray()

    def _append(self, data: Any) -> None:
        self._data += data

    def _publish(self, overwrite: bool) -> None:
        self._storage._put(self.key, bytes(self._data), overwrite)
        self._discard()

    def _discard(self) -> None:
        self._data = bytearray()
