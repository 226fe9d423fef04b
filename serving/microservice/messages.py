"""What the server hands to a route, and what it gets back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from serving.microservice.outcome import Outcome

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from serving.microservice.component import Component

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
    document : object
        The JSON of the body, once it has been parsed.
    """

    body: bytes = b""
    content_type: bytes = b""
    query: bytes = b""
    json_length: int | None = None
    document: Any = None


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


FEW_ROWS: Final = 16
"""Up to here rows are judged together with those of other requests: of more, what all requests share is little."""
FEW_BYTES: Final = 4096
"""A larger request is not looked at for whether it has so few rows."""

Handler = Callable[[Request], Reply]


@dataclass(slots=True)
class Few:
    """A request of a few rows that may be judged together with those of other requests.

    Attributes
    ----------
    component : Component
        Whose rows they are.
    rows : ndarray of shape (n, d)
        Checked, and in the model's order of columns.
    reply : callable
        ``reply(scores, labels)`` makes the answer.
    """

    component: "Component"
    rows: "npt.NDArray[np.float64]"
    reply: Callable[[list[float], list[int]], Reply]


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
    few : callable, optional
        Takes a POST request apart if it may be judged together with others; else its handler is to answer it.
    """

    handlers: dict[str, Handler]
    name: str
    predicts: bool = False
    style: Literal["seldon", "v2"] = "seldon"
    few: Callable[[Request], Few | None] | None = None
