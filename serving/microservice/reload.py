"""A changed model file is served without a restart."""

import asyncio
import logging

from detectors.errors import InlierError
from serving.microservice.component import is_own
from serving.microservice.service import Service

_log = logging.getLogger("inlier.microservice")


async def watch(service: Service, seconds: float) -> None:
    """Look again and again whether the model file has changed, and serve the new one from the next request on.

    Parameters
    ----------
    service : Service
        What is served. A class that is not ours is left alone, and a model that came from no file.
    seconds : float
        Between two looks.
    """
    user = service.component.user
    if not is_own(user) or user.signature is None:
        return
    from serving.model_uri import signature
    from serving.models import serve_file

    uri, served = user.model_uri, user.signature
    while True:
        await asyncio.sleep(seconds)
        found = await asyncio.to_thread(signature, uri)
        if found == served or None in found:  # gone for a moment, perhaps
            continue
        try:
            user = await asyncio.to_thread(serve_file, uri)
        except InlierError as error:
            _log.error("%s has changed and cannot be served, the one before stays: %s", uri, error)
        else:
            service.replace(user)
            _log.info("%s has changed: serving the model trained at %s", uri, user.model.trained_at)
        served = found
