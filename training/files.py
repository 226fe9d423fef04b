"""Files that are whole or not there: written beside, forced to disk, then renamed."""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def staged(target: Path, data: bytes) -> Iterator[Path]:
    """A file beside `target` that holds `data` on disk, to be renamed; it is removed if that did not happen.

    Parameters
    ----------
    target : Path
        What it will become.
    data : bytes
        What it holds.

    Yields
    ------
    Path
        The file.
    """
    with opened(target) as (path, file):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        yield path


@contextmanager
def opened(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside `target`, open for writing; it is removed at the end unless it was renamed.

    Parameters
    ----------
    target : Path
        What it will become.

    Yields
    ------
    tuple of Path and file
        The path and the open file, binary.
    """
    if not target.name or target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(target))
    path = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with path.open("xb") as file:
            yield path, file
    finally:
        path.unlink(missing_ok=True)


def publish(target: Path, data: bytes) -> None:
    """Replace a file in one step.

    Parameters
    ----------
    target : Path
        The file, there already or not.
    data : bytes
        What it holds afterwards, also after a crash of the machine.
    """
    with staged(target, data) as path:
        path.replace(target)
        sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Force renames in a folder to disk.

    Parameters
    ----------
    folder : Path
        The folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """The digest of a file, without holding it in memory.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        64 hex digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
