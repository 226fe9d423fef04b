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
class ModelFile:
    """A model file that has been found.

    Attributes
    ----------
    key : str
        Its path in the storage of the proxy; one of this machine has it once it has been put there.
    sha256 : str
        Of its bytes, in hexadecimal digits.
    path : Path, optional
        Where it is on this machine.
    """

    key: str
    sha256: str
    path: Path | None


@dataclass(frozen=True)
class Service:
    """One microservice: an image (``model`` is None) or a model in the stock image.

    ``model`` is what was said: a file of this machine, a path in the storage of the proxy, or an address such as
    s3://bucket/model. ``file`` is what ``model_files.locate`` found.
    """

    name: str
    image: str
    model: str | None
    kind: Literal["rest", "rpc"]
    ratio: float
    asked: str
    file: ModelFile | None = None

    @property
    def substituted(self) -> bool:
        """Whether an image of ours stands for the one that was named."""
        return self.model is None and self.image != self.asked

    @property
    def is_address(self) -> bool:
        """Whether the model is named by an address that an initializer of the cluster fetches."""
        return self.model is not None and "://" in self.model


def from_image(name: str, image: str, kind: Literal["rest", "rpc"], ratio: float, settings: DeploySettings) -> Service:
    """Return a microservice that runs an image, or the image that stands for it."""
    for pattern, ours in settings.image_aliases.items():
        if fnmatchcase(image, pattern):
            return Service(name, ours, None, kind, ratio, image)
    return Service(name, image, None, kind, ratio, image)


def from_model(name: str, model: str, kind: Literal["rest", "rpc"], ratio: float, settings: DeploySettings) -> Service:
    """Return a microservice that serves a model file."""
    return Service(name, settings.stock_image, model, kind, ratio, model)


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
        _check_word(service.name, "image", service.image)
        if service.model is not None:
            _check_word(service.name, "model file", service.model)
    try:
        check_ratios([service.ratio for service in services])
    except ValueError as error:
        raise DeployError(str(error)) from None


def _check_word(name: str, what: str, word: str) -> None:
    if not word.strip() or not word.isprintable() or word.startswith("-"):
        raise DeployError(f"{name}: {word[:80]!r} is no {what}")
    if what == "image" and " " in word:
        raise DeployError(f"{name}: {word[:80]!r} is no image")
