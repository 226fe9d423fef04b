"""Which variation gets a request: by chance, or always the same one for the same key."""

import hashlib
import math
import random
from collections.abc import Sequence

from serving.errors import UpstreamDown
from serving.proxy.store import Route

TWO_64 = 2.0**64


def draw(client: str, routes: Sequence[Route], key: bytes | None = None) -> Route:
    """Return one of the variations, each with the probability of its ratio.

    Parameters
    ----------
    client : str
        Whose variations they are.
    routes : sequence of Route
        At least one has a ratio above 0; they are taken relative to their sum.
    key : bytes, optional
        A request with the same key gets the same variation, whichever process draws it, as long as the ratios are the
        same; over many keys the shares are the ratios.
    """
    if not routes:
        raise UpstreamDown(f"client {client!r} has no microservice yet: start-microservice gives it one")
    if len(routes) == 1:
        return routes[0]
    if key is None:
        return random.choices(routes, weights=[route.ratio for route in routes])[0]  # noqa: S311  # no secret
    prefix = client.encode() + b"\0" + key + b"\0"
    return min(routes, key=lambda route: _arrival(prefix, route))


def _arrival(prefix: bytes, route: Route) -> float:
    """Return when a variation "arrives" for a key, exponentially distributed with its ratio as the rate.

    The first to arrive gets the request: weighted rendezvous hashing. A variation that gets more keys takes them from
    the others, and between the others none moves; one that gets fewer, or fails, gives its own and no others. Cutting
    [0, 1) at the cumulated ratios would move keys between variations whose ratios did not change.
    """
    if route.ratio <= 0:
        return math.inf
    number = int.from_bytes(hashlib.blake2b(prefix + route.label.encode(), digest_size=8).digest(), "big")
    return -math.log((number + 0.5) / TWO_64) / route.ratio
