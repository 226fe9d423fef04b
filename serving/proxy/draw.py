"""Which variation gets a request."""

import random
from collections.abc import Sequence

from serving.errors import UpstreamDown
from serving.proxy.store import Route


def draw(client: str, routes: Sequence[Route]) -> Route:
    """Return one of the variations, each with the probability of its ratio."""
    if not routes:
        raise UpstreamDown(f"client {client!r} has no microservice yet: start-microservice gives it one")
    if len(routes) == 1:
        return routes[0]
    return random.choices(routes, weights=[route.ratio for route in routes])[0]  # noqa: S311  # no secret
