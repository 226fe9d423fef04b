"""What a microservice's failure means to the client."""

from serving.errors import RequestError, UpstreamDown, UpstreamFault

CLIENT_FAULTS = {400, 413, 422}  # what a microservice says of the data; other 4xx mean that it is no microservice
NOT_NOW = {429, 503}
SAID_LENGTH = 2000


class Refused(UpstreamDown):
    """Nothing listens there (any more), or the connection was cut before an answer.

    It is safe to ask again: a prediction changes nothing.
    """


def fault(status: int, said: str | None, who: str) -> RequestError | UpstreamFault | UpstreamDown:
    """Return the error for the status that a microservice answered with, and what it said."""
    said = said[:SAID_LENGTH] if said else None
    if status in CLIENT_FAULTS:
        return RequestError(said or f"{who} refused the data with status {status}")
    text = f"{who} answered with status {status}" + (f": {said}" if said else "")
    return UpstreamDown(text) if status in NOT_NOW else UpstreamFault(text)


def shown(url: str) -> str:
    """Return a URL without its query, which may hold what nobody else should read."""
    return url.partition("?")[0]
