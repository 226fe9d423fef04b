"""From what the command line names to an object that is ready: a model file, or any class written for Seldon Core."""

import importlib
import json
import logging
import os
import re
import sys
from typing import Any

from detectors.errors import InlierError
from serving.errors import ComponentError
from serving.microservice import stand_in
from serving.microservice.methods import NotImplementedHere, guarded
from serving.microservice.starting import import_scikit_learn, uncollected

_log = logging.getLogger("inlier.microservice")
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TRUTHS = {
    **dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True),
    **dict.fromkeys(("n", "no", "f", "false", "off", "0"), False),
}
_TYPES: dict[str, Any] = {"INT": int, "FLOAT": float, "DOUBLE": float, "STRING": str}


def load(target: str, parameters: str) -> Any:
    """Make the object that will be served, loaded.

    Parameters
    ----------
    target : str
        A model file, or ``module.Class``.
    parameters : str
        What a class is built with, as ``PREDICTIVE_UNIT_PARAMETERS`` has it.

    Returns
    -------
    object
        Ready to predict.

    Raises
    ------
    InlierError
        One line that says what hinders it.
    """
    prepare(target)
    if names_class(target):
        return _load_class(target, parse_parameters(parameters))
    from serving.models import serve_file

    with uncollected():  # numba reads all its types when it loads the first kernel
        return serve_file(target)


def prepare(target: str) -> None:
    """Import what a model file needs; what a class needs, its module knows.

    Parameters
    ----------
    target : str
        As for `load`.
    """
    if names_class(target) and not target.startswith("serving.models."):
        return
    with uncollected():
        import_scikit_learn()
        importlib.import_module("serving.models")


def names_class(target: str) -> bool:
    """Whether a target is ``module.Class`` and not a file.

    Examples
    --------
    >>> names_class("serving.models.INNE"), names_class("model.pkl"), names_class("./model")
    (True, False, False)
    """
    is_file = os.path.exists(target) or target.endswith(".pkl")  # noqa: PTH110 - any text may come here
    return not is_file and _CLASS.fullmatch(target) is not None


def _load_class(target: str, parameters: dict[str, Any]) -> Any:
    user_class = _import(target)
    try:
        user = user_class(**parameters)
    except InlierError:
        raise
    except Exception as error:
        raise ComponentError(f"{target} cannot be built: {type(error).__name__}: {error}") from error
    method = getattr(user, "load", None)
    if callable(method):
        _log.info("loading %s", target)
        try:
            guarded(method)
        except (NotImplementedHere, NotImplementedError):
            pass
        except InlierError as error:
            cause = error.__cause__
            if isinstance(cause, NotImplementedError):
                return user
            if isinstance(cause, InlierError):
                raise cause from None
            raise ComponentError(f"{target}.load() failed: {type(cause or error).__name__}: {error}") from error
    return user


def _import(target: str) -> Any:
    module_name, _, class_name = target.rpartition(".")
    module_name, class_name = (module_name, class_name) if module_name else (target, target)
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109
        sys.path.append(here)
    stand_in.install()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and module_name.startswith(error.name):
            raise ComponentError(f"there is no module {error.name!r} (nor a file of the name {target!r})") from error
        raise ComponentError(f"{module_name} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise ComponentError(f"the module {module_name} has no class {class_name}")
    return found


def parse_parameters(text: str) -> dict[str, Any]:
    """Read ``PREDICTIVE_UNIT_PARAMETERS``.

    Parameters
    ----------
    text : str
        ``[{"name": "model_uri", "value": "/model", "type": "STRING"}]``.

    Returns
    -------
    dict
        Value by name, of its type.

    Raises
    ------
    ComponentError
        Names the parameter that is wrong.

    Examples
    --------
    >>> parse_parameters('[{"name": "k", "value": "3", "type": "INT"}]')
    {'k': 3}
    """
    try:
        listed = json.loads(text or "[]")
    except ValueError as error:
        raise ComponentError(f"the parameters are not JSON: {error}") from error
    if not isinstance(listed, list) or not all(isinstance(one, dict) and "name" in one for one in listed):
        raise ComponentError("the parameters should be a list of objects with name, value and type")
    return {str(one["name"]): _value(one) for one in listed}


def _value(parameter: dict[str, Any]) -> Any:
    name, value, kind = parameter["name"], parameter.get("value"), parameter.get("type", "STRING")
    if kind == "BOOL":
        truth = _TRUTHS.get(str(value).lower())
        if truth is None:
            raise ComponentError(f"parameter {name}: {value!r} is neither true nor false")
        return truth
    if kind not in _TYPES:
        raise ComponentError(f"parameter {name}: there is no type {kind!r}; there are INT, FLOAT, DOUBLE, STRING, BOOL")
    try:
        return _TYPES[kind](value)
    except (TypeError, ValueError):
        raise ComponentError(f"parameter {name}: {value!r} is not of type {kind}") from None
