"""A file being written."""

import io
from abc import abstractmethod
from typing import Any, BinaryIO, cast


class StagedFile(io.RawIOBase):
    """A file being written, which nobody sees before it is published.

    Closing it keeps what was written: writers of CSV and Parquet close what they are given.

    Attributes
    ----------
    key : str
        Where it will be.
    size : int
        Bytes written so far.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.size = 0
        self._settled = False

    @property
    def stream(self) -> BinaryIO:
        """The same, for those who ask for the type of binary files."""
        return cast("BinaryIO", self)

    def writable(self) -> bool:
        """Whether it takes bytes: yes."""
        return True

    def tell(self) -> int:
        """The bytes written so far."""
        return self.size

    def write(self, data: Any, /) -> int:
        """Append bytes.

        Parameters
        ----------
        data : bytes-like
            All of it is taken.

        Returns
        -------
        int
            Its length in bytes.

        Raises
        ------
        StorageUnavailable
            When the storage cannot take it.
        """
        self._append(data)
        written = memoryview(data).nbytes
        self.size += written
        return written

    def publish(self, *, overwrite: bool = False) -> None:
        """Let it be seen, whole, under its key.

        Parameters
        ----------
        overwrite : bool
            Whether it may take the place of a file that is there.

        Raises
        ------
        FileExists
            When there is one and `overwrite` is not set; the staged file is kept.
        StorageUnavailable
            When the storage fails.
        """
        self._publish(overwrite)
        self._settled = True

    def discard(self) -> None:
        """Forget what was written; a file already published stays."""
        if not self._settled:
            self._settled = True
            self._discard()

    @abstractmethod
    def _append(self, data: Any) -> None: ...

    @abstractmethod
    def _publish(self, overwrite: bool) -> None: ...

    @abstractmethod
    def _discard(self) -> None: ...
