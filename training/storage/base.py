"""What every storage can do, and what follows from it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from training.errors import FileMissing, InvalidPath
from training.storage.keys import DATA_SUFFIXES, check_key, is_key, shown
from training.storage.staged import StagedFile


@dataclass(frozen=True)
class Entry:
    """A file that is there.

    Attributes
    ----------
    key : str
        Its path below the root.
    size : int
        In bytes.
    modified : float
        Unix time.
    """

    key: str
    size: int
    modified: float


class Storage(ABC):
    """Files by key.

    Every method that takes a key raises `InvalidPath` for one that `check_key` refuses, and `StorageUnavailable` when
    the storage itself fails.
    """

    def open(self, key: str) -> BinaryIO:
        """Read a file.

        Parameters
        ----------
        key : str
            Its path.

        Returns
        -------
        binary file
            Seekable; to be closed.

        Raises
        ------
        FileMissing
            When it is not there.
        """
        return self._open(check_key(key))[1]

    def open_entry(self, key: str) -> tuple[Entry, BinaryIO]:
        """Read a file, and know what is read, even where another takes its place meanwhile.

        Parameters
        ----------
        key : str
            Its path.

        Returns
        -------
        entry : Entry
            Of the very file that is open.
        file : binary file
            Seekable; to be closed.

        Raises
        ------
        FileMissing
            When it is not there.
        """
        return self._open(check_key(key))

    def stage(self, key: str) -> StagedFile:
        """Begin a file that is published later, by its own method or with others by `publish_all`.

        Parameters
        ----------
        key : str
            Where it will be.

        Returns
        -------
        StagedFile
            To be written to, then published or discarded.
        """
        return self._stage(check_key(key))

    @contextmanager
    def write(self, key: str, *, overwrite: bool = False) -> Iterator[StagedFile]:
        """Write a file that is published at the end of the ``with`` block, and not at all if the block raises.

        Parameters
        ----------
        key : str
            Where it will be.
        overwrite : bool
            Whether it may take the place of a file that is there.

        Yields
        ------
        StagedFile
            A binary file.

        Raises
        ------
        FileExists
            When there is one and `overwrite` is not set.
        """
        staged = self.stage(key)
        try:
            yield staged
            staged.publish(overwrite=overwrite)
        finally:
            staged.discard()

    def entry(self, key: str) -> Entry:
        """A file's size and time.

        Parameters
        ----------
        key : str
            Its path.

        Returns
        -------
        Entry
            Of this very key.

        Raises
        ------
        FileMissing
            When it is not there.
        """
        return self._entry(check_key(key))

    def exists(self, key: str) -> bool:
        """Whether there is such a file.

        Parameters
        ----------
        key : str
            Its path.

        Returns
        -------
        bool
            False for a folder.
        """
        try:
            self.entry(key)
        except FileMissing:
            return False
        return True

    def size(self, key: str) -> int:
        """The length of a file.

        Parameters
        ----------
        key : str
            Its path.

        Returns
        -------
        int
            In bytes.

        Raises
        ------
        FileMissing
            When it is not there.
        """
        return self.entry(key).size

    def list(self, folder: str = "") -> Iterator[Entry]:
        """The files in a folder and in the folders below it.

        Parameters
        ----------
        folder : str
            Its path; ``""`` is the root.

        Yields
        ------
        Entry
            In the order of their keys, without files that others put there under names that are no keys. Nothing,
            for a folder that is not there.
        """
        return (entry for entry in self._list(check_key(folder) if folder else "") if is_key(entry.key))

    def delete(self, key: str) -> None:
        """Remove a file.

        Parameters
        ----------
        key : str
            Its path.

        Raises
        ------
        FileMissing
            When it is not there.
        """
        self._delete(check_key(key))

    def resolve(self, name: str, suffixes: Sequence[str] = DATA_SUFFIXES) -> str:
        """The key of a file that may be named without its suffix.

        Parameters
        ----------
        name : str
            A key, or one without its suffix.
        suffixes : sequence of str
            Those that may be left out.

        Returns
        -------
        str
            The key of a file that is there.

        Raises
        ------
        FileMissing
            When none is.
        InvalidPath
            When several are, and the name itself is not.
        """
        if self.exists(name):
            return name
        found = [name + suffix for suffix in suffixes if self.exists(name + suffix)]
        if len(found) > 1:
            raise InvalidPath(f"{shown(name)}: there are {' and '.join(map(shown, found))}; say which")
        if not found:
            tried = "".join(f", nor with {suffix}" for suffix in suffixes if not name.endswith(tuple(suffixes)))
            raise FileMissing(f"{shown(name)}: no such file{tried}")
        return found[0]

    @abstractmethod
    def sweep(self, older_than: float) -> int:
        """Remove what was staged and neither published nor discarded, because its process was killed.

        Parameters
        ----------
        older_than : float
            Seconds since it was last written to; longer than anything takes to write.

        Returns
        -------
        int
            How many were removed.
        """

    @abstractmethod
    def _open(self, key: str) -> tuple[Entry, BinaryIO]: ...

    @abstractmethod
    def _stage(self, key: str) -> StagedFile: ...

    @abstractmethod
    def _entry(self, key: str) -> Entry: ...

    @abstractmethod
    def _list(self, folder: str) -> Iterator[Entry]: ...

    @abstractmethod
    def _delete(self, key: str) -> None: ...


def publish_all(storage: Storage, files: Sequence[StagedFile]) -> None:
    """Publish files together, under names that are not taken, or none of them.

    Parameters
    ----------
    storage : Storage
        Where they were staged.
    files : sequence of StagedFile
        In the order in which they appear: what names the others comes last.

    Raises
    ------
    FileExists
        When a name is taken; what had appeared is removed again, and the rest discarded.
    """
    published: list[StagedFile] = []
    try:
        for file in files:
            file.publish()
            published.append(file)
    except BaseException:
        for file in published:
            storage.delete(file.key)
        for file in files:
            file.discard()
        raise
