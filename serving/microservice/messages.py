"""What the server hands to a route, and what it gets back."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from serving.microservice.outcome import Outcome

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"


@dataclass(slots=True)
class Request:
    """One request, its body complete.

    Attributes
    ----------
    body : bytes
        Within the limit.
    content_type : bytes
        As sent; empty if not said.
    query : bytes
        Of the address, without the question mark.
    json_length : int or None
        How much of the body is JSON, the rest being tensors (Open Inference Protocol).
    tail : tuple of str
        The parts of the path that a route leaves open.
    """

    body: bytes = b""
    content_type: bytes = b""
    query: bytes = b""
    json_length: int | None = None
    tail: tuple[str, ...] = ()


@dataclass(slots=True)
class Reply:
    """One answer.

    Attributes
    ----------
    body : bytes
        Complete.
    status : int
        Of HTTP.
    content_type : bytes
        Of the body.
    headers : tuple of pairs of bytes
        Besides type and length.
    puid : str
        The request's identifier, for the log.
    outcome : Outcome or None
        What the model gave, for the metrics.
    """

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    puid: str = ""
    outcome: Outcome | None = None


Handler = Callable[[Request], Reply]


@dataclass(slots=True, frozen=True)
class Route:
    """What is at one path.

    Attributes
    ----------
    handlers : dict of str to callable
        By method.
    name : str
        For the metrics: ``predict``, ``health``...
    predicts : bool
        Whether it calls the model, which may take long.
    style : {"seldon", "v2"}
        How errors look.
    """

    handlers: dict[str, Handler]
    name: str
    predicts: bool = False
    style: Literal["seldon", "v2"] = "seldon"


def new_puid() -> str:
    """An identifier for a request that came without: 40 hex digits."""
    return os.urandom(20).hex()
