"""The draw among the variations that can answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.errors import UpstreamDown
from serving.proxy.breaker import Breaker, Breakers
from serving.proxy.draw import draw
from serving.proxy.store import Route

Pairs = list[tuple[Route, Breaker]]


@dataclass(frozen=True, slots=True)
class Choice:
    """The variation that was drawn, its breaker, and which others are to be tried beside it."""

    route: Route
    breaker: Breaker
    trials: Sequence[tuple[Route, Breaker]] = ()


def choose(
    breakers: Breakers, client: str, routes: Sequence[Route], key: bytes | None, refused: str | None = None
) -> Choice:
    """Draw a variation.

    Parameters
    ----------
    breakers : Breakers
        Of this process.
    client, routes, key
        See ``draw``.
    refused : str, optional
        The address that has just refused this request: another is preferred.

    Raises
    ------
    UpstreamDown
        There is none, or all of them hang.
    """
    every = [pair for pair in zip(routes, breakers.of(client, routes), strict=True) if pair[0].ratio > 0]
    free = [pair for pair in every if pair[1].is_free()]
    trials = [pair for pair in every if pair[1].trial_is_due()] if 0 < len(free) < len(every) else []
    # When all have failed, those that do so at once cost nothing to ask
    pairs = free or [pair for pair in every if not pair[1].hangs] or _due(every)
    if refused is not None:
        pairs = [pair for pair in pairs if pair[0].url != refused] or pairs
    route = draw(client, [route for route, _ in pairs], key)
    return Choice(route, next(breaker for each, breaker in pairs if each is route), trials)


def _due(pairs: Pairs) -> Pairs:
    if not pairs:
        return []
    for pair in pairs:
        if pair[1].trial_is_due():
            return [pair]
    labels = ", ".join(repr(route.label) for route, _ in pairs)
    raise UpstreamDown(f"variation {labels} did not answer in time lately; it is tried again every moment")
