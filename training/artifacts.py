"""Model files: a pickle, and beside it ``<file>.json`` with size, digest, versions and signature.

The file is an ordinary pickle, so ``joblib.load`` opens it. Inlier checks before it opens: the size, then the digest,
then the signature where a signing key is set, then every instruction of the pickle (`training.unpickling`), then every
number of the state. A file without its sidecar is refused: nothing would say that it is what was written.

A sidecar may vouch for two files, the one that is about to be replaced and the one that replaces it. So writing is
three renames, sidecar for both, model, sidecar for the new one, and a reader or a crash between any two finds a pair
that fits.
"""

import hashlib
import hmac
import io
import json
import os
import pickle
import stat
from pathlib import Path
from typing import Any

from detectors.registry import DETECTORS
from detectors.scaling import Scaled
from training import files
from training.errors import ModelDamaged, ModelFileError, ModelNotFound, ModelUntrusted
from training.model import Model
from training.unpickling import loads

SIGNING_KEY = "INLIER_SIGNING_KEY"
"""The environment variable that holds the key models are signed with, and must be signed with to be read."""

MAX_MODEL_BYTES = 4 * 2**30
"""A larger file is refused unless a caller says otherwise."""

_MAX_SIDECAR_BYTES = 1 << 20
_SIDECAR_FORMAT = "inlier-model/1"
_ADMITTED: tuple[type, ...] = (Model, Scaled, *DETECTORS.values())
_CLASSES = {(admitted.__module__, admitted.__qualname__): admitted for admitted in _ADMITTED}


def signing_key_from_environment() -> bytes | None:
    """The key in ``INLIER_SIGNING_KEY``.

    Returns
    -------
    bytes or None
        None where it is not set or empty.
    """
    return os.environ.get(SIGNING_KEY, "").encode() or None


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Where the sidecar of a model file is.

    Parameters
    ----------
    path : path
        The model file.

    Returns
    -------
    Path
        The same with ``.json`` after it.
    """
    return Path(f"{os.fspath(path)}.json")


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
    loads(data, _CLASSES)
    entry = {
        "format": _SIDECAR_FORMAT,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "detector": model.detector_name,
        "trained_at": model.trained_at,
        "versions": model.versions,
    }
    key = signing_key or signing_key_from_environment()
    if key is not None:
        entry["hmac_sha256"] = _signature(entry, key)
    return data, _as_json(entry)


def check_model(
    data: bytes, sidecar: bytes, signing_key: bytes | None = None, name: str | os.PathLike[str] = "model"
) -> dict[str, Any]:
    """Tell whether the bytes of a model file are those that its sidecar speaks of, without opening it.

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
    dict
        What the sidecar says of it: its detector, size, digest, versions.

    Raises
    ------
    ModelDamaged
        If they are not.
    ModelUntrusted
        If the signature is missing or wrong.
    """
    entries = _entries(sidecar, name)
    digest = hashlib.sha256(data).hexdigest()
    entry = next((entry for entry in entries if entry["size"] == len(data) and entry["sha256"] == digest), None)
    if entry is None:
        raise _NotVouchedFor(_mismatch(name, data, digest, entries[0]))
    key = signing_key or signing_key_from_environment()
    if key is not None:
        _check_signature(entry, key, name)
    return entry


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
                both = _as_json(json.loads(sidecar) | {"replaces": replaced})
                files.publish(beside, both)
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
        except _NotVouchedFor:
            # A writer may have renamed between our two reads; it renamed the sidecar first, so that has changed then.
            before, sidecar = sidecar, _read_sidecar(target, beside)
            if sidecar == before:
                raise


class _NotVouchedFor(ModelDamaged):
    """The digest differs."""


class _Writer(pickle.Pickler):
    """Writes nothing that `loads` would not read, and says what it would be."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type):
            if _CLASSES.get((obj.__module__, obj.__qualname__)) is obj:
                return NotImplemented
            raise ModelFileError(f"a model file cannot hold the class {obj.__module__}.{obj.__qualname__}")
        if type(obj) not in _CLASSES.values():
            raise ModelFileError(f"a model file cannot hold a {type(obj).__module__}.{type(obj).__qualname__}")
        return NotImplemented


def _as_json(entry: dict[str, Any]) -> bytes:
    return (json.dumps(entry, indent=2) + "\n").encode()


def _signature(entry: dict[str, Any], key: bytes) -> str:
    signed = {name: value for name, value in entry.items() if name not in ("hmac_sha256", "replaces")}
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _check_signature(entry: dict[str, Any], key: bytes, name: str | os.PathLike[str]) -> None:
    given = entry.get("hmac_sha256")
    if given is None:
        raise ModelUntrusted(f"{os.fspath(name)} is not signed, and {SIGNING_KEY} asks for a signature")
    if not isinstance(given, str) or not hmac.compare_digest(_signature(entry, key).encode(), given.encode()):
        raise ModelUntrusted(f"{os.fspath(name)} is not signed with the key in force")


def _entries(sidecar: bytes, name: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """What a sidecar vouches for, the newest first."""
    try:
        entry = json.loads(sidecar)
    except (ValueError, RecursionError) as error:
        raise ModelDamaged(f"{sidecar_path(name)} is not JSON: {error}") from error
    entries = [entry]
    if isinstance(entry, dict) and "replaces" in entry:
        entries.append(entry["replaces"])
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("format") != _SIDECAR_FORMAT:
            raise ModelDamaged(f"{sidecar_path(name)} is not the sidecar of a model of format {_SIDECAR_FORMAT}")
        if type(entry.get("size")) is not int or not isinstance(entry.get("sha256"), str):
            raise ModelDamaged(f"{sidecar_path(name)} has no size or no digest")
    return entries


def _mismatch(name: str | os.PathLike[str], data: bytes, digest: str, entry: dict[str, Any]) -> str:
    if len(data) != entry["size"]:
        return f"{os.fspath(name)} has {len(data)} bytes, its sidecar says {entry['size']}"
    return f"{os.fspath(name)} is not what was written: its SHA-256 is {digest}, its sidecar says {entry['sha256']}"


def _replaced_entry(target: Path, beside: Path) -> dict[str, Any] | None:
    """What vouches for the file that is about to be replaced, if it is one of ours and whole."""
    try:
        size = target.stat().st_size
        entries = _entries(beside.read_bytes(), target)
        digest = files.sha256(target)
    except (FileNotFoundError, ModelDamaged):
        return None
    found = (entry for entry in entries if entry["size"] == size and entry["sha256"] == digest)
    return next(({key: value for key, value in entry.items() if key != "replaces"} for entry in found), None)


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
