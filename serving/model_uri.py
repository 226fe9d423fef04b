"""Where a model file is, which is known before anything that reads it is imported."""

import os
from pathlib import Path
from typing import Final

from serving.errors import ComponentError

IMAGE_MODEL: Final = "/model/model.pkl"
"""What an image was built with; a model that is mounted goes before."""
DEFAULT_MODEL_URI: Final = "/mnt/models"
"""Where Seldon Core and KServe put what a model's address names."""

Signature = tuple[tuple[int, int, int] | None, ...]


def default_model_uri() -> str:
    """Where the model is when nobody says: ``$INLIER_MODEL``, ``/mnt/models``, or what an image was built with."""
    if named := os.environ.get("INLIER_MODEL"):
        return named
    return IMAGE_MODEL if Path(IMAGE_MODEL).exists() and not Path(DEFAULT_MODEL_URI).exists() else DEFAULT_MODEL_URI


def model_file(uri: str) -> Path:
    """Where a model file is.

    Parameters
    ----------
    uri : str
        A file, a folder that holds one model file, or a ``file://`` address of either.

    Returns
    -------
    Path
        The file, which may not exist.

    Raises
    ------
    ComponentError
        For an address of another kind, or a folder with none or several.
    """
    if "://" in uri and not uri.startswith("file://"):
        raise ComponentError(f"{uri}: only files are read here; an initializer of the cluster fetches other addresses")
    path = Path(uri.removeprefix("file://"))
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.pkl"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise ComponentError(f"the folder {path} should hold one model file (*.pkl), it holds {names}")
    return found[0]


def signature(uri: str) -> Signature:
    """What a model file is known by: as long as it stays the same, the file has not changed.

    Parameters
    ----------
    uri : str
        As for `model_file`.

    Returns
    -------
    tuple
        Time of the last change, size and number of the file and of its sidecar; None for what is not there.
    """
    from training.artifacts import sidecar_path

    try:
        file = model_file(uri)
    except ComponentError:
        return (None,)
    return tuple(_stat(os.fspath(one)) for one in (file, sidecar_path(file)))


def _stat(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - the folder of a mounted secret is swapped: follow links each time
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
