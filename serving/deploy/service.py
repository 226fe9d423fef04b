"""What start-microservice is asked for, checked before anything is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from serving.errors import DeployError
from serving.proxy.bodies import check_name, check_ratios
from serving.settings import DeploySettings


@dataclass(frozen=True)
class Service:
    """One microservice: an image (``model`` is None) or a model file in the stock image."""

    name: str
    image: str
    model: Path | None
    kind: Literal["rest", "rpc"]
    ratio: float
    asked: str

    @property
    def substituted(self) -> bool:
        """Whether an image of ours stands for the one that was named."""
        return self.model is None and self.image != self.asked


def from_image(name: str, image: str, kind: Literal["rest", "rpc"], ratio: float, settings: DeploySettings) -> Service:
    """Return a microservice that runs an image, or the image that stands for it."""
    for pattern, ours in settings.image_aliases.items():
        if fnmatchcase(image, pattern):
            return Service(name, ours, None, kind, ratio, image)
    return Service(name, image, None, kind, ratio, image)


def from_model(name: str, model: str, kind: Literal["rest", "rpc"], ratio: float, settings: DeploySettings) -> Service:
    """Return a microservice that serves a model file."""
    return Service(name, settings.stock_image, Path(model), kind, ratio, model)


def check(services: Sequence[Service]) -> None:
    """Refuse what no runtime could run."""
    if not services:
        raise DeployError("nothing to start: name an image with -i or a model file with -p")
    names = [service.name for service in services]
    for service in services:
        try:
            check_name(service.name)
        except ValueError as error:
            raise DeployError(str(error)) from None
        if names.count(service.name) > 1:
            raise DeployError(f"two microservices are named {service.name!r}")
        if service.kind == "rpc":
            raise DeployError(f"{service.name}: this version runs microservices by REST only; say rest, not rpc")
        if service.model is not None:
            _check_model(service.name, service.model)
    try:
        check_ratios([service.ratio for service in services])
    except ValueError as error:
        raise DeployError(str(error)) from None


def _check_model(name: str, model: Path) -> None:
    try:
        if not model.is_file():
            raise DeployError(f"{name}: there is no model file {model}")
        with model.open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise DeployError(f"{name}: cannot read {model}: {error}") from None
