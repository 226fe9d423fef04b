"""What stands in for seldon_core where it is not installed, so that classes written for it can be imported.

Such classes import a few names: the base class, the response, the error, makers of metrics. These are here, and nothing
else of seldon_core.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any


class SeldonMicroserviceException(Exception):
    """An error for the client, with a status of its own."""

    status_code = 400

    def __init__(
        self, message: str, status_code: int | None = None, payload: Any = None, reason: str = "MICROSERVICE_BAD_DATA"
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = type(self).status_code if status_code is None else status_code
        self.payload = payload
        self.reason = reason

    def to_dict(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"status": {"status": 1, "info": self.message, "code": -1, "reason": self.reason}}


class SeldonNotImplementedError(SeldonMicroserviceException):
    """The class has no such method."""


class SeldonResponse:
    """Data with tags and metrics of one call.

    Parameters
    ----------
    data : object
        The payload.
    tags : dict, optional
        For ``meta.tags``.
    metrics : list of dict, optional
        Of this call.
    """

    def __init__(
        self, data: Any, tags: dict[str, Any] | None = None, metrics: list[dict[str, Any]] | None = None
    ) -> None:
        self.data = data
        self.tags = {} if tags is None else tags
        self.metrics = [] if metrics is None else metrics

    @classmethod
    def create(cls, data: Any) -> "SeldonResponse":
        """Data as a response, which it may be already."""
        return data if isinstance(data, cls) else cls(data)


def _absent(name: str) -> Any:
    def method(self: Any, *_: Any, **__: Any) -> Any:  # noqa: ARG001
        raise SeldonNotImplementedError(f"{name} is not implemented")

    method.__name__ = name
    return method


_METHODS = (
    *(
        "tags",
        "class_names",
        "predict",
        "predict_raw",
        "send_feedback",
        "send_feedback_raw",
        "metrics",
        "feature_names",
    ),
    *("transform_input", "transform_input_raw", "transform_output", "transform_output_raw", "route", "route_raw"),
    *("aggregate", "aggregate_raw", "health_status", "health_status_raw", "metadata", "init_metadata"),
)


def _init(self: Any, **_: Any) -> None:
    """Take any parameters, as the genuine one does."""
    del self


SeldonComponent = type(
    "SeldonComponent",
    (),
    {"__doc__": "The base class: every method raises that it is not implemented.", "__init__": _init}
    | {"load": lambda self: None}  # noqa: ARG005
    | {name: _absent(name) for name in _METHODS},
)


def _metric(kind: str) -> Any:
    def create(key: str, value: float) -> dict[str, Any]:
        return {"key": key, "type": kind, "value": value + 0}

    create.__doc__ = f"A metric of type {kind}."
    return create


def install() -> bool:
    """Make ``import seldon_core`` find this, unless the genuine one is installed.

    Returns
    -------
    bool
        Whether it does.
    """
    if "seldon_core" in sys.modules or importlib.util.find_spec("seldon_core") is not None:
        return getattr(sys.modules.get("seldon_core"), "__inlier__", False)
    package = _module("seldon_core", {})
    package.__path__ = []
    parts: dict[str, dict[str, Any]] = {
        "user_model": {
            "SeldonComponent": SeldonComponent,
            "SeldonResponse": SeldonResponse,
            "SeldonNotImplementedError": SeldonNotImplementedError,
        },
        "flask_utils": {"SeldonMicroserviceException": SeldonMicroserviceException},
        "metrics": {
            **{kind: kind for kind in ("COUNTER", "GAUGE", "TIMER")},
            **{f"create_{kind.lower()}": _metric(kind) for kind in ("COUNTER", "GAUGE", "TIMER")},
        },
    }
    for name, content in parts.items():
        module = _module(f"seldon_core.{name}", content)
        setattr(package, name, module)
    return True


def _module(name: str, content: dict[str, Any]) -> ModuleType:
    module = ModuleType(name, __doc__)
    vars(module).update(content, __inlier__=True)
    sys.modules[name] = module
    return module
