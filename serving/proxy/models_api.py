"""Trained models in the storage.

=======  ==================================  =========================================================================
GET      /anomaly_detection/models           ``{"models": [{"path", "size", "modified", "detector", ...}]}``; ?folder,
                                             ?limit, ?after
GET      /anomaly_detection/models/<path>    one of them
DELETE   /anomaly_detection/models/<path>    the file and what is beside it; 204
=======  ==================================  =========================================================================
"""

from contextlib import suppress
from typing import Any

import orjson
from flask import Blueprint, Response

from serving.errors import NotFound
from serving.proxy import files
from serving.proxy.answers import answer
from serving.proxy.requests import parameter, refuse_other_parameters
from training.errors import FileMissing, InvalidPath
from training.storage import Entry, Storage

MODEL, SIDECAR = ".pkl", ".json"
MAX_SIDECAR_BYTES = 2**20
TOLD = ("detector", "trained_at", "versions", "sha256")


def has_sidecar(storage: Storage, key: str) -> bool:
    """Tell whether a file has a sidecar; one whose name is as long as may be has no room for its suffix."""
    try:
        return storage.exists(key + SIDECAR)
    except InvalidPath:
        return False


def show(storage: Storage, entry: Entry) -> dict[str, Any]:
    """Return what the sidecar of a model tells of it; nothing in the model itself is opened."""
    with storage.open(entry.key + SIDECAR) as file:
        try:
            sidecar = orjson.loads(file.read(MAX_SIDECAR_BYTES))
        except orjson.JSONDecodeError:
            sidecar = None
    told = sidecar if isinstance(sidecar, dict) else {}
    return {**files.show(entry), **{name: _checked(name, told.get(name)) for name in TOLD}}


def _checked(name: str, value: Any) -> Any:
    """Return what a sidecar tells if it is of the kind that Inlier writes; what was put there may be anything."""
    if name != "versions":
        return value if isinstance(value, str) else None
    flat = isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    return value if flat else None


def blueprint(storage: Storage) -> Blueprint:
    """Return the API of models."""
    routes = Blueprint("models", __name__, url_prefix="/anomaly_detection/models")

    def find(path: str) -> Entry:
        try:
            storage.entry(path + SIDECAR)
            return storage.entry(path)
        except FileMissing:
            raise NotFound(f"there is no model {path[:200]!r}") from None

    @routes.get("", strict_slashes=False)
    def list_models() -> Response:
        refuse_other_parameters("folder", "limit", "after")
        with files.as_answers():
            folder = parameter("folder", required=False)
            found = (
                entry
                for entry in storage.list(folder or "")
                if entry.key.endswith(MODEL) and has_sidecar(storage, entry.key)
            )
            models = []
            for entry in files.listed(found):
                with suppress(FileMissing):  # deleted meanwhile
                    models.append(show(storage, entry))
            return answer({"models": models})

    @routes.get("/<path:path>")
    def get_model(path: str) -> Response:
        refuse_other_parameters()
        with files.as_answers():
            return answer(show(storage, find(path)))

    @routes.delete("/<path:path>")
    def delete_model(path: str) -> Response:
        refuse_other_parameters()
        with files.as_answers():
            if not storage.exists(path + SIDECAR):
                raise NotFound(f"there is no model {path[:200]!r}")
            with suppress(FileMissing):  # an earlier try may have got no further than this
                storage.delete(path)
            storage.delete(path + SIDECAR)
        return Response(status=204)

    return routes
