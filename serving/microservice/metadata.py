"""Metadata of a model: the class's own, under what the environment says."""

import logging
from typing import Any

import yaml  # type: ignore[import-untyped]

from serving.microservice.component import Component
from serving.microservice.methods import NotImplementedHere, guarded
from serving.settings import MicroserviceSettings

_log = logging.getLogger("inlier.metadata")
_FIELDS: dict[str, type] = {
    "name": str,
    "versions": list,
    "platform": str,
    "inputs": list,
    "outputs": list,
    "custom": dict,
}


def collect(component: Component, settings: MicroserviceSettings) -> dict[str, Any] | None:
    """Put together and check what ``/metadata`` answers.

    Parameters
    ----------
    component : Component
        Whose ``init_metadata`` is asked.
    settings : MicroserviceSettings
        With ``MODEL_METADATA`` and the image's name.

    Returns
    -------
    dict or None
        None if it is not valid, which is logged.
    """
    image, _, version = settings.image.rpartition(":")
    fallback = {"name": image, "versions": [version], "platform": "", "inputs": [], "outputs": [], "custom": {}}
    found = {**fallback, **_of_class(component), **_of_environment(settings.metadata)}
    problem = _problem(found)
    if problem:
        _log.error("the metadata is not valid and will not be answered: %s", problem)
        return None
    return found


def _of_class(component: Component) -> dict[str, Any]:
    method = getattr(component.user, "init_metadata", None)
    if not callable(method):
        return {}
    try:
        found = guarded(method)
    except NotImplementedHere:
        return {}
    if not isinstance(found, dict):
        _log.error("init_metadata should return a dict, not %s", type(found).__name__)
        return {}
    return found


def _of_environment(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text or "{}")
    except yaml.YAMLError as error:
        _log.error("MODEL_METADATA is not YAML: %s", error)
        return {}
    if not isinstance(found, dict):
        _log.error("MODEL_METADATA should be an object, not %s", type(found).__name__)
        return {}
    return found


def _problem(found: dict[str, Any]) -> str:
    for name, value in found.items():
        if name not in _FIELDS:
            return f"there is no field {name!r}"
        if not isinstance(value, _FIELDS[name]):
            return f"{name} should be {_FIELDS[name].__name__}, not {type(value).__name__}"
    if not all(isinstance(version, str) for version in found["versions"]):
        return "versions should be text"
    if not all(isinstance(value, str) for value in found["custom"].values()):
        return "the values of custom should be text"
    if not all(isinstance(one, dict) for one in [*found["inputs"], *found["outputs"]]):
        return "inputs and outputs should be objects"
    return ""
