"""What can go wrong while serving, with the HTTP status that says so.

::

    InlierError
    └── ServingError             500   carries a status and a reason
        ├── BadData              400   what the client sent cannot be used
        ├── NotHere              404   no such path or model
        ├── WrongMethod          405   the path is there, the method is not
        ├── TooSlow              408   the request's body does not arrive
        ├── TooLarge             413   more bytes or rows than the limit
        ├── Busy                 429   as many requests wait as may
        ├── ModelFault           500   the model class raised
        ├── NotOffered           400   the model class has no such method
        ├── NotReady             503   still loading, or about to stop
        ├── Overdue              503   the model took longer than it may
        └── ProxyError           500   what the proxy answers
            ├── RequestError     400   what the client sent cannot be used
            ├── NotRecognised    401   a key, secret or token is wrong
            ├── NotAllowed       403   the key is of another scope, the host name is a stranger's
            ├── NotFound         404   no such client or key
            ├── Conflict         409   it is there already
            ├── BodyTooLarge     413   more bytes or rows than the limit
            ├── UnsupportedContent 415 the body is not JSON
            ├── TooManyTasks     429   as many tasks wait or run as may
            ├── UpstreamFault    502   a microservice answered with an error, or what is no prediction
            ├── UpstreamDown     503   a microservice cannot be reached, or the client has none
            └── UpstreamSlow     504   a microservice did not answer in time
    ├── ComponentError                 a model class cannot be imported, built or served
    ├── SettingsError                  a setting of the environment has a wrong value
    ├── DeployError                    a microservice cannot be started, or did not become ready
    │   └── ClusterError               a cluster cannot be reached, or refuses (carries its status)
    ├── CallError                      the proxy cannot be reached, or refused (carries its status)
    └── TaskFailed                     a task that was waited for failed or was revoked (carries status and code)
"""

from detectors.errors import InlierError


class ServingError(InlierError):
    """The request cannot be answered."""

    status: int = 500
    reason: str = "MICROSERVICE_INTERNAL_ERROR"


class BadData(ServingError):
    """What was sent cannot be used."""

    status = 400
    reason = "MICROSERVICE_BAD_DATA"


class NotHere(ServingError):
    """There is nothing at this address."""

    status = 404
    reason = "NOT_FOUND"


class WrongMethod(ServingError):
    """The address does not take that method."""

    status = 405
    reason = "METHOD_NOT_ALLOWED"

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


class TooSlow(ServingError):
    """The body did not arrive in time."""

    status = 408
    reason = "REQUEST_TIMEOUT"


class TooLarge(ServingError):
    """The request is larger than the limit."""

    status = 413
    reason = "PAYLOAD_TOO_LARGE"


class Busy(ServingError):
    """Too many requests are waiting."""

    status = 429
    reason = "TOO_MANY_REQUESTS"


class ModelFault(ServingError):
    """The model failed."""


class NotOffered(ServingError):
    """The model has no such method."""

    status = 400
    reason = "MICROSERVICE_BAD_DATA"


class NotReady(ServingError):
    """The service is not ready."""

    status = 503
    reason = "NOT_READY"


class Overdue(ServingError):
    """The model took too long."""

    status = 503
    reason = "OVERDUE"


class ComponentError(InlierError):
    """The model class cannot be served."""


class ProxyError(ServingError):
    """The proxy cannot answer."""

    reason = "INTERNAL_ERROR"


class RequestError(ProxyError):
    """The request cannot be used."""

    status = 400
    reason = "BAD_REQUEST"


class NotRecognised(ProxyError):
    """The key, secret or token is wrong."""

    status = 401
    reason = "UNAUTHORIZED"


class NotAllowed(ProxyError):
    """The request is not allowed."""

    status = 403
    reason = "FORBIDDEN"


class NotFound(ProxyError):
    """There is no such thing."""

    status = 404
    reason = "NOT_FOUND"


class Conflict(ProxyError):
    """It is there already."""

    status = 409
    reason = "CONFLICT"


class BodyTooLarge(ProxyError):
    """The body is too large."""

    status = 413
    reason = "REQUEST_ENTITY_TOO_LARGE"


class UnsupportedContent(ProxyError):
    """The body is not JSON."""

    status = 415
    reason = "UNSUPPORTED_MEDIA_TYPE"


class TooManyTasks(ProxyError):
    """Too many tasks wait or run."""

    status = 429
    reason = "TOO_MANY_REQUESTS"


class UpstreamFault(ProxyError):
    """A microservice failed."""

    status = 502
    reason = "BAD_GATEWAY"


class UpstreamDown(ProxyError):
    """A microservice cannot be reached."""

    status = 503
    reason = "SERVICE_UNAVAILABLE"


class UpstreamSlow(ProxyError):
    """A microservice did not answer in time."""

    status = 504
    reason = "GATEWAY_TIMEOUT"


class SettingsError(InlierError):
    """A setting is wrong."""


class DeployError(InlierError):
    """A microservice cannot be started."""


class ClusterError(DeployError):
    """The cluster cannot be reached, or it refused."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class CallError(InlierError):
    """The proxy cannot be reached, or it refused."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class TaskFailed(InlierError):
    """The task has failed, or was revoked."""

    def __init__(self, message: str, status: str, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
