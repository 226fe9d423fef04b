"""The methods of a class written for Seldon Core's wrapper: which it has, how they are called, what they raise."""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from serving.errors import ModelFault, ServingError

Call = Callable[[Any, Sequence[str], dict[str, Any]], Any]


class NotImplementedHere(Exception):
    """The class inherits a method that it doesn't have."""


class RemoteRefusal(ServingError):
    """An error that the model class raised for the client, with its own status."""

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


def guarded(method: Callable[..., Any], *arguments: Any) -> Any:
    """Call a method of the model class; whatever it raises becomes an error with a status.

    Parameters
    ----------
    method : callable
        Of the model class.
    *arguments
        For it.

    Returns
    -------
    object
        What it returned.

    Raises
    ------
    NotImplementedHere
        If the method is one that Seldon's base class has for all.
    ServingError
        For the client.
    """
    try:
        return method(*arguments)
    except ServingError:
        raise
    except Exception as error:
        if type(error).__name__ == "SeldonNotImplementedError":
            raise NotImplementedHere from error
        if callable(getattr(error, "to_dict", None)) and isinstance(getattr(error, "status_code", None), int):
            raise _refusal(error) from error
        raise ModelFault(str(error) or type(error).__name__) from error


def guarded_or(method: Callable[[], Any], default: Any) -> Any:
    """`guarded`, with a default for what the class doesn't implement."""
    try:
        return guarded(method)
    except NotImplementedHere:
        return default


def _refusal(error: Any) -> RemoteRefusal:
    status = error.status_code if 400 <= error.status_code <= 599 else 500
    return RemoteRefusal(str(error.message), status, str(getattr(error, "reason", "MICROSERVICE_BAD_DATA")))


def method_of(user: Any, name: str) -> Callable[..., Any] | None:
    """A method that the class has of its own.

    Parameters
    ----------
    user : object
        An instance of a model class.
    name : str
        Of the method.

    Returns
    -------
    callable or None
        Bound. None if there is none, or only the placeholder of Seldon's base class.
    """
    method = getattr(user, name, None)
    return method if callable(method) and not _inherited_stub(method) else None


def _inherited_stub(method: Any) -> bool:
    """Whether it is the placeholder of Seldon's base class, which raises that it is not implemented."""
    base = getattr(sys.modules.get("seldon_core.user_model"), "SeldonComponent", None)
    function = getattr(method, "__func__", None)
    return base is not None and function is not None and function is vars(base).get(method.__name__)


def call_of(user: Any, name: str) -> Call | None:
    """A method that is called with a payload, names and meta, whether or not the class's own takes meta.

    Parameters
    ----------
    user : object
        An instance of a model class.
    name : str
        Of the method.

    Returns
    -------
    callable or None
        None if the class has none of its own.
    """
    method = method_of(user, name)
    if method is None:
        return None
    if _takes_meta(method):
        return lambda payload, names, meta: method(payload, names, meta=meta)
    return lambda payload, names, _: method(payload, names)


def _takes_meta(method: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):  # compiled, without a signature
        return False
    return "meta" in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def names_of(user: Any, name: str) -> Callable[[], list[str]] | None:
    """Names that the class has as a method, or as an attribute.

    Parameters
    ----------
    user : object
        An instance of a model class.
    name : str
        Of either.

    Returns
    -------
    callable or None
        Gives them; None if the class has neither.
    """
    found = getattr(user, name, None)
    if found is None or (callable(found) and _inherited_stub(found)):
        return None
    if callable(found):
        return lambda: list(guarded(found))
    fixed = list(found)
    return lambda: fixed
