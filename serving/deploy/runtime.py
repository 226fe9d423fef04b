"""What a place where microservices run must be able to do; ``rollout`` asks for no more than this.

============== ======================================================================================================
``process``    processes of this machine, supervised by `inlier up`
``docker``     containers of an engine on this machine, docker's or podman's
``kubernetes`` Deployments and Services of a cluster
============== ======================================================================================================
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from serving.deploy.service import Service

Kind = Literal["rest", "rpc"]
Say = Callable[[str], None]


class Version(Protocol):
    """One version of a microservice, as a runtime knows it."""

    @property
    def name(self) -> str:
        """Return the microservice's name."""

    @property
    def version(self) -> int:
        """Return its number; a later version has a larger one."""

    @property
    def image(self) -> str:
        """Return what it was started from: an image, or a model file."""

    @property
    def urls(self) -> Mapping[Kind, str]:
        """Return where it predicts, by protocol."""


@dataclass(frozen=True)
class Order:
    """What to start, and how.

    Attributes
    ----------
    services : sequence of Service
        Checked, their model files located.
    replicas : int or None
        Copies of each; None is one, or as many as an autoscaler has made of it.
    waits : bool
        Whether to wait until all are ready.
    """

    services: Sequence[Service]
    replicas: int | None = None
    waits: bool = True

    @property
    def copies(self) -> int:
        """Return how many a new microservice begins with."""
        return self.replicas or 1


class Runtime(Protocol):
    """A place where microservices run."""

    @property
    def name(self) -> str:
        """Return what --runtime calls it."""

    @property
    def reads_storage(self) -> bool:
        """Tell whether it takes model files from the proxy's storage; otherwise it takes them from this machine."""

    def check(self, order: Order) -> None:
        """Refuse, before anything is done, what this runtime cannot run."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep every other start-microservice of this place waiting."""

    def versions(self) -> Sequence[Version]:
        """Return all that is there."""

    def states(self) -> Mapping[str, str]:
        """Return how each version is, under ``<name>.<version>``."""

    def manifests(self, order: Order) -> Mapping[str, dict[str, object]]:
        """Return the manifest of each microservice, by name."""

    def start(self, order: Order) -> Sequence[Version]:
        """Start a new version of each and return them when all are ready; after a failure all is as it was."""

    def keep(self, versions: Sequence[Version]) -> None:
        """Take started versions as here to stay."""

    def undo(self, versions: Sequence[Version]) -> None:
        """Take back what ``start`` did, so that what was there before is there again."""

    def stop(self, versions: Sequence[Version]) -> None:
        """Stop versions, each after the requests that it has, and forget them."""
