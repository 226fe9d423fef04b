"""A changed model file is served without a restart."""

import asyncio
import logging
import os

from detectors.errors import InlierError
from serving.microservice.service import Service, model_path

_log = logging.getLogger("inlier.microservice")
_Signature = tuple[tuple[int, int, int] | None, ...]


async def watch(service: Service, seconds: float) -> None:
    """Look again and again whether the model file has changed, and serve the new one from the next request on.

    Parameters
    ----------
    service : Service
        What is served. A class that is not ours is left alone.
    seconds : float
        Between two looks.
    """
    path = model_path(service.component.user)
    if path is None:
        return
    from serving.models import serve_file

    served = await asyncio.to_thread(_signature, str(path))
    while True:
        await asyncio.sleep(seconds)
        found = await asyncio.to_thread(_signature, str(path))
        if found == served or None in found:  # gone for a moment, perhaps
            continue
        try:
            user = await asyncio.to_thread(serve_file, str(path))
        except InlierError as error:
            _log.error("%s has changed and cannot be served, the one before stays: %s", path, error)
        else:
            service.replace(user)
            _log.info("%s has changed: serving the model trained at %s", path, user.model.trained_at)
        served = found


def _signature(uri: str) -> _Signature:
    from serving.model_uri import model_file
    from training.artifacts import sidecar_path

    try:
        file = model_file(uri)
    except InlierError:
        return (None,)
    return tuple(_stat(os.fspath(one)) for one in (file, sidecar_path(file)))


def _stat(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - the folder of a mounted secret is swapped: follow links each time
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
