"""Sidecars of model files: what vouches for the bytes of a model.

A sidecar is a JSON object: the size and SHA-256 of the file, what it holds, and with a signing key the HMAC-SHA-256
of all that. Under ``replaces`` there may be another such object, for the file that is being replaced right now.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.errors import ModelDamaged, ModelUntrusted

SIGNING_KEY = "INLIER_SIGNING_KEY"
"""The environment variable that holds the key models are signed with, and must be signed with to be read."""

_FORMAT = "inlier-model/1"


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


class NotVouchedFor(ModelDamaged):
    """The file is not what its sidecar speaks of."""


def seal(data: bytes, facts: Mapping[str, Any], signing_key: bytes | None = None) -> bytes:
    """Make the sidecar of a file.

    Parameters
    ----------
    data : bytes
        The file.
    facts : mapping
        What else to say of it; plain JSON values.
    signing_key : bytes, optional
        What to sign it with; the one of the environment if None.

    Returns
    -------
    bytes
        The sidecar.
    """
    entry = {"format": _FORMAT, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), **facts}
    key = signing_key or signing_key_from_environment()
    if key is not None:
        entry["hmac_sha256"] = _signature(entry, key)
    return _as_json(entry)


def replacing(sidecar: bytes, replaced: Mapping[str, Any]) -> bytes:
    """A sidecar that vouches for the file that is being replaced, too.

    Parameters
    ----------
    sidecar : bytes
        Of the new file.
    replaced : mapping
        What `entry_for` found for the old one.

    Returns
    -------
    bytes
        The sidecar.
    """
    old = {name: value for name, value in replaced.items() if name != "replaces"}
    return _as_json(json.loads(sidecar) | {"replaces": old})


def entry_for(sidecar: bytes, size: int, digest: str, name: str | os.PathLike[str]) -> dict[str, Any]:
    """What a sidecar says of a file.

    Parameters
    ----------
    sidecar : bytes
        Possibly forged.
    size, digest : int, str
        Of the file.
    name : path
        What errors call it.

    Returns
    -------
    dict
        The entry that fits.

    Raises
    ------
    NotVouchedFor
        If none does.
    ModelDamaged
        If it is no sidecar.
    """
    entries = _entries(sidecar, name)
    for entry in entries:
        if entry["size"] == size and entry["sha256"] == digest:
            return entry
    said = entries[0]
    if size != said["size"]:
        raise NotVouchedFor(f"{os.fspath(name)} has {size} bytes, its sidecar says {said['size']}")
    raise NotVouchedFor(
        f"{os.fspath(name)} is not what was written: its SHA-256 is {digest}, its sidecar says {said['sha256']}"
    )


def check_model(
    data: bytes, sidecar: bytes, signing_key: bytes | None = None, name: str | os.PathLike[str] = "model"
) -> dict[str, Any]:
    """Tell whether the bytes of a model file are those that its sidecar speaks of, without opening it.

    Parameters
    ----------
    data, sidecar : bytes
        What `training.artifacts.dump_model` made, or what somebody claims it did.
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
    entry = entry_for(sidecar, len(data), hashlib.sha256(data).hexdigest(), name)
    key = signing_key or signing_key_from_environment()
    if key is not None:
        _check_signature(entry, key, name)
    return entry


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
    if not isinstance(given, str) or not hmac.compare_digest(
        _signature(entry, key).encode(), given.encode(errors="surrogatepass")
    ):
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
        if not isinstance(entry, dict) or entry.get("format") != _FORMAT:
            raise ModelDamaged(f"{sidecar_path(name)} is not the sidecar of a model of format {_FORMAT}")
        if type(entry.get("size")) is not int or not isinstance(entry.get("sha256"), str):
            raise ModelDamaged(f"{sidecar_path(name)} has no size or no digest")
    return entries
