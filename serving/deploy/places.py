"""Which runtime, and which proxy: as it was said, or what can be found."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from serving.deploy.calls import Proxy
from serving.deploy.formats import Format
from serving.deploy.home import Home
from serving.deploy.process import ProcessRuntime
from serving.deploy.runtime import Runtime, Say
from serving.settings import DeploySettings, HomeSettings

RUNTIMES = ("process",)
Name = Literal["auto", "process"]


def named_proxy(server: str | None) -> Proxy | None:
    """Return the proxy that was named, by option or setting."""
    named = server or HomeSettings().server
    return Proxy(named) if named else None


@contextmanager
def find(
    *,
    runtime: Name,
    form: Format,
    context: str | None,
    server: str | None,
    settings: DeploySettings,
    home: Home,
    say: Say,
) -> Iterator[tuple[Runtime, Proxy]]:
    """Give the runtime to start microservices on, and the proxy whose clients get them.

    Raises
    ------
    DeployError
        When there is none.
    """
    del form, context
    process = ProcessRuntime(home, settings, say)
    if runtime == "auto":
        say(f"runtime: process, because `inlier up` runs in {home.path}")
    yield process, named_proxy(server) or Proxy(process.server)
