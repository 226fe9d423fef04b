"""Model files: a pickle, and beside it ``<file>.json`` with size, digest, versions and signature.

The file is an ordinary pickle, so ``joblib.load`` opens it. Inlier checks before it opens: the size, then the digest,
then the signature where a signing key is set, then every instruction of the pickle (`training.unpickling`), then every
number of the state. A file without its sidecar is refused: nothing would say that it is what was written.

A sidecar may vouch for two files, the one that is about to be replaced and the one that replaces it. So writing is
three renames, sidecar for both, model, sidecar for the new one, and a reader or a crash between any two finds a pair
that fits.
"""

import io
import os
import pickle
import stat
import sys
from pathlib import Path
from typing import Any

from detectors.registry import PLACES
from training import files
from training.errors import ModelDamaged, ModelFileError, ModelNotFound
from training.model import Model
from training.sidecars import (
    NotVouchedFor,
    check_model,
    entry_for,
    replacing,
    seal,
    sidecar_path,
    signing_key_from_environment,
)
from training.unpickling import check, loads

__all__ = [
    "MAX_MODEL_BYTES",
    "check_model",
    "dump_model",
    "load_model",
    "parse_model",
    "save_model",
    "sidecar_path",
    "signing_key_from_environment",
]

MAX_MODEL_BYTES = 4 * 2**30
"""A larger file is refused unless a caller says otherwise."""

_MAX_SIDECAR_BYTES = 1 << 20
_CLASSES = frozenset({("training.model", "Model"), ("detectors.scaling", "Scaled"), *PLACES.values()})
"""The only ones that a model file may hold, by module and name; imported when a file holds them."""


def dump_model(model: Model, signing_key: bytes | None = None) -> tuple[bytes, bytes]:
    """Turn a model into the bytes of its file and of its sidecar.

    Parameters
    ----------
    model : Model
        A trained model.
    signing_key : bytes, optional
        What to sign it with; the one of the environment if None.

    Returns
    -------
    tuple of bytes
        File and sidecar.

    Raises
    ------
    ModelFileError
        For a model that could not be read back.
    """
    buffer = io.BytesIO()
    _Writer(buffer, protocol=5).dump(model)
    data = buffer.getvalue()
    check(data, _CLASSES)
    facts = {"detector": model.detector_name, "trained_at": model.trained_at, "versions": model.versions}
    return data, seal(data, facts, signing_key)


def parse_model(
    data: bytes, sidecar: bytes, signing_key: bytes | None = None, name: str | os.PathLike[str] = "model"
) -> Model:
    """Turn the bytes of a model file and of its sidecar into the model.

    Parameters
    ----------
    data, sidecar : bytes
        What `dump_model` made, or what somebody claims it did.
    signing_key : bytes, optional
        What it must be signed with; the one of the environment if None; without any, no signature is asked for.
    name : path
        What errors call the file.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ModelDamaged
        If it is not what the sidecar speaks of, or not a model. Nothing in it has been run.
    ModelUntrusted
        If its signature is missing or wrong.
    """
    check_model(data, sidecar, signing_key, name)
    try:
        model = loads(data, _CLASSES)
    except ModelDamaged as error:
        raise ModelDamaged(f"{os.fspath(name)} is no model file: {error}") from error
    if not isinstance(model, Model):
        raise ModelDamaged(f"{os.fspath(name)} holds a {type(model).__name__}, not a model")
    return model


def save_model(model: Model, path: str | os.PathLike[str], signing_key: bytes | None = None) -> Path:
    """Write a model file and its sidecar, so that nobody ever sees half of it.

    Parameters
    ----------
    model : Model
        A trained model.
    path : path
        The file, which is replaced if it is there. Two processes should not write the same one at once.
    signing_key : bytes, optional
        What to sign it with; the one of the environment if None.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ModelFileError
        For a model that could not be read back, or a place that cannot be written to.
    """
    target, beside = Path(path), sidecar_path(path)
    data, sidecar = dump_model(model, signing_key)
    try:
        with files.staged(target, data) as staged_model:
            replaced = _replaced_entry(target, beside)
            if replaced is not None:
                files.publish(beside, replacing(sidecar, replaced))
            else:
                files.publish(beside, sidecar)
            staged_model.replace(target)
            files.sync_folder(target.parent)
        if replaced is not None:
            files.publish(beside, sidecar)
    except OSError as error:
        raise ModelFileError(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def load_model(
    path: str | os.PathLike[str], signing_key: bytes | None = None, max_bytes: int = MAX_MODEL_BYTES
) -> Model:
    """Read a model file that may have been tampered with.

    Parameters
    ----------
    path : path
        The file; its sidecar is beside it.
    signing_key : bytes, optional
        What it must be signed with; the one of the environment if None; without any, no signature is asked for.
    max_bytes : int
        A larger file is refused before it is read.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ModelNotFound
        If there is no file.
    ModelDamaged
        If it has no sidecar, is not what that speaks of, or is not a model. Nothing in it has been run.
    ModelUntrusted
        If its signature is missing or wrong.
    """
    target, beside = Path(path), sidecar_path(path)
    sidecar = _read_sidecar(target, beside)
    while True:
        data = _read(target, max_bytes)
        try:
            return parse_model(data, sidecar, signing_key, target)
        except NotVouchedFor:
            # A writer may have renamed between our two reads; it renamed the sidecar first, so that has changed then.
            before, sidecar = sidecar, _read_sidecar(target, beside)
            if sidecar == before:
                raise


class _Writer(pickle.Pickler):
    """Writes nothing that `loads` would not read, and says what it would be."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type):
            if _is_admitted(obj):
                return NotImplemented
            raise ModelFileError(f"a model file cannot hold the class {obj.__module__}.{obj.__qualname__}")
        if not _is_admitted(type(obj)):
            raise ModelFileError(f"a model file cannot hold a {type(obj).__module__}.{type(obj).__qualname__}")
        return NotImplemented


def _is_admitted(made_of: type) -> bool:
    """Whether a class is one of `_CLASSES`, and not another of that name."""
    module, name = made_of.__module__, made_of.__qualname__
    return (module, name) in _CLASSES and getattr(sys.modules.get(module), name, None) is made_of


def _replaced_entry(target: Path, beside: Path) -> dict[str, Any] | None:
    """What vouches for the file that is about to be replaced, if it is one of ours and whole."""
    try:
        return entry_for(beside.read_bytes(), target.stat().st_size, files.sha256(target), target)
    except (FileNotFoundError, ModelDamaged):
        return None


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        # Not blocking: opening a named pipe would wait for its other end.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelDamaged(f"{path} is not a regular file")
            if status.st_size > max_bytes:
                raise ModelDamaged(f"{path} has {status.st_size} bytes, at most {max_bytes} are read")
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise ModelNotFound(f"there is no file {path}") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > max_bytes:
        raise ModelDamaged(f"{path} has more than {max_bytes} bytes")
    return data


def _read_sidecar(target: Path, beside: Path) -> bytes:
    try:
        return _read(beside, _MAX_SIDECAR_BYTES)
    except ModelNotFound:
        if not target.exists():
            raise ModelNotFound(f"there is no model file {target}") from None
        raise ModelDamaged(f"{target} has no sidecar {beside.name} beside it, so nothing vouches for it") from None
