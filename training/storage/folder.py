"""Files below a folder, reached one directory at a time so that nothing leads out of it."""

import contextlib
import errno
import os
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from training.errors import FileExists, FileMissing, InvalidPath, StorageError, StorageUnavailable
from training.storage.base import Entry, Storage
from training.storage.keys import shown
from training.storage.staged import StagedFile

STAGING = ".staging"
"""Of the root: on the same file system, so that publishing is a link; no key can name it."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a named pipe that somebody put there must not wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FolderStorage(Storage):
    """Files of a folder and its subfolders; symbolic links below the root are not followed.

    Parameters
    ----------
    root : path-like
        Made if it is not there.

    Raises
    ------
    StorageUnavailable
        When it cannot be made or is not a folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        with _as_storage_error(os.fspath(root)):
            (self.root / STAGING).mkdir(parents=True, exist_ok=True)
            self.root = self.root.resolve(strict=True)

    def sweep(self, older_than: float) -> int:
        """Remove staged files whose process was killed.

        Parameters
        ----------
        older_than : float
            Seconds since they were last written to.

        Returns
        -------
        int
            How many were removed.
        """
        removed = 0
        with _as_storage_error(STAGING):
            for path in (self.root / STAGING).iterdir():
                with contextlib.suppress(FileNotFoundError):  # published, discarded or swept meanwhile
                    if path.stat().st_mtime < time.time() - older_than:
                        path.unlink()
                        removed += 1
        return removed

    def _open(self, key: str) -> tuple[Entry, BinaryIO]:
        with _as_storage_error(key), self._parent(key) as (directory, name):
            descriptor = os.open(name, _FILE, dir_fd=directory)
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                os.close(descriptor)
                raise FileMissing(f"{shown(key)}: not a file")
            return Entry(key, found.st_size, found.st_mtime), os.fdopen(descriptor, "rb")

    def _stage(self, key: str) -> StagedFile:
        return _StagedInFolder(self, key)

    def _entry(self, key: str) -> Entry:
        with _as_storage_error(key), self._parent(key) as (directory, name):
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                raise OSError(errno.ELOOP, "symbolic link")
            if not stat.S_ISREG(found.st_mode):
                raise FileMissing(f"{shown(key)}: not a file")
            return Entry(key, found.st_size, found.st_mtime)

    def _list(self, folder: str) -> Iterator[Entry]:
        try:
            with _as_storage_error(folder), self._directory(folder.split("/") if folder else []) as directory:
                # "a-b" comes before "a/c" in the order of keys, so a folder is sorted with its slash.
                found = sorted(_named(directory))
        except FileMissing:
            return
        for name, status in found:
            key = f"{folder}/{name}" if folder else name
            if name.endswith("/"):
                yield from self._list(key.rstrip("/"))
            elif stat.S_ISREG(status.st_mode):
                yield Entry(key, status.st_size, status.st_mtime)

    def _delete(self, key: str) -> None:
        self._entry(key)
        with _as_storage_error(key), self._parent(key) as (directory, name):
            os.unlink(name, dir_fd=directory)

    @contextlib.contextmanager
    def _parent(self, key: str, create: bool = False) -> Iterator[tuple[int, str]]:
        *folders, name = key.split("/")
        with self._directory(folders, create) as directory:
            yield directory, name

    @contextlib.contextmanager
    def _directory(self, names: list[str], create: bool = False) -> Iterator[int]:
        """A descriptor of a folder below the root; each step refuses a symbolic link, whatever happens meanwhile."""
        directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, dir_fd=directory)
                inner = _open_folder(name, directory, create)
                os.close(directory)
                directory = inner
            yield directory
        finally:
            os.close(directory)


def _named(directory: int) -> Iterator[tuple[str, os.stat_result]]:
    """The names in a folder and what they are, without what is deleted meanwhile."""
    for entry in os.scandir(directory):
        if not entry.name.startswith("."):
            with contextlib.suppress(FileNotFoundError):
                yield entry.name + "/" * entry.is_dir(follow_symlinks=False), entry.stat(follow_symlinks=False)


def _open_folder(name: str, directory: int, create: bool) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=directory)
    except NotADirectoryError as error:  # what Linux says of a symbolic link, too
        if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, "symbolic link") from error
        if create:
            raise
        raise FileNotFoundError(errno.ENOENT, "a name on the way is a file") from error


class _StagedInFolder(StagedFile):
    def __init__(self, storage: FolderStorage, key: str) -> None:
        super().__init__(key)
        self._storage = storage
        self._path = storage.root / STAGING / uuid.uuid4().hex
        with _as_storage_error(key):
            self._file = self._path.open("xb")

    def _append(self, data: Any) -> None:
        with _as_storage_error(self.key):
            self._file.write(data)

    def _publish(self, overwrite: bool) -> None:
        with _as_storage_error(self.key), self._storage._parent(self.key, create=True) as (directory, name):
            if not self._file.closed:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
            if overwrite:
                os.rename(self._path, name, dst_dir_fd=directory)
            else:  # a link, unlike a rename, fails when the name is taken
                os.link(self._path, name, dst_dir_fd=directory)
                self._path.unlink()
            os.fsync(directory)

    def _discard(self) -> None:
        with _as_storage_error(self.key):
            with contextlib.suppress(OSError):  # a full disk: what cannot be written any more is not wanted any more
                self._file.close()
            self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def _as_storage_error(key: str) -> Iterator[None]:
    """Say what an error of the operating system means for a key."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise _storage_error(key, error) from error


def _storage_error(key: str, error: OSError) -> StorageError:
    match error.errno:
        case errno.ENOENT:
            return FileMissing(f"{shown(key)}: no such file")
        case errno.EEXIST:
            return FileExists(f"{shown(key)}: there is such a file already")
        case errno.ELOOP | errno.EMLINK:  # the second is what FreeBSD says
            return InvalidPath(f"{shown(key)}: a symbolic link is not followed")
        case errno.EISDIR:
            return InvalidPath(f"{shown(key)}: a folder has this name")
        case errno.ENOTDIR:
            return InvalidPath(f"{shown(key)}: a name on the way is a file")
        case _:
            return StorageUnavailable(f"{shown(key)}: {error.strerror or error}")
