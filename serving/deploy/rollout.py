"""One step after the other: check, write the manifests, start, wait, switch the client, stop the old versions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from serving.deploy import manifest
from serving.deploy.calls import Proxy
from serving.deploy.declared import Declared
from serving.deploy.home import Home
from serving.deploy.process import ProcessRuntime
from serving.deploy.service import Service, check
from serving.errors import DeployError

Say = Callable[[str], None]


def deploy(
    home: Home,
    runtime: ProcessRuntime,
    proxy: Proxy,
    client: str,
    services: Sequence[Service],
    folder: Path,
    replicas: int,
    say: Say,
) -> None:
    """Start microservices for a client, in the place of what it had.

    Raises
    ------
    DeployError
        Nothing of what ran before has changed.
    """
    check(services)
    runtime.check(services)
    proxy.call("GET", proxy.client(client))  # an unknown client is found out before anything is done
    for service in services:
        if service.substituted:
            say(f"{service.name}: {service.image} stands for {service.asked}")
    with locked(home, say):
        runtime.clear()
        versions = runtime.start(services, replicas)
        old = _older(runtime.versions(), versions)
        try:
            for service in services:
                say(f"wrote {manifest.write(folder, service.name, manifest.render(service, replicas))}")
            runtime.keep(versions)
            _switch(proxy, client, services, versions, old)
        except BaseException:
            runtime.stop(versions)
            raise
        say(f"client {client}: " + ", ".join(f"{service.name} {service.ratio:g}" for service in services))
        runtime.stop(old)
        for version in old:
            say(f"{version.name}: version {version.version} stopped")


def _older(every: Sequence[Declared], new: Sequence[Declared]) -> list[Declared]:
    versions = {version.name: version.version for version in new}
    return [version for version in every if version.version < versions.get(version.name, 0)]


def _switch(
    proxy: Proxy,
    client: str,
    services: Sequence[Service],
    versions: Sequence[Declared],
    old: Sequence[Declared],
) -> None:
    """Let the client's requests, and other clients' to the same microservices, go to the new versions."""
    urls = {version.name: version.url for version in versions}
    variations = [
        {"label": service.name, "ratio": service.ratio, "kind": service.kind, "url": urls[service.name]}
        for service in services
    ]
    moved = {version.url: urls[version.name] for version in old}
    proxy.call("PUT", proxy.client(client, "variations"), {"variations": variations, "moved": moved})


def remove(home: Home, runtime: ProcessRuntime, proxy: Proxy, name: str, folder: Path, say: Say) -> None:
    """Stop a microservice and delete its manifest; one that shares a client's requests with others stays."""
    with locked(home, say):
        versions = [version for version in runtime.versions() if version.name == name]
        if not versions:
            known = sorted({version.name for version in runtime.versions()})
            raise DeployError(f"there is no microservice {name!r}; there are: {', '.join(known) or 'none'}")
        urls = {version.url for version in versions}
        for client in _users(proxy, urls):
            if {variation["url"] for variation in client["variations"]} - urls:
                raise DeployError(
                    f"{name} gets a share of the requests of client {client['name']!r}; start its other microservices "
                    "with ratios that add up to 1 first"
                )
        for client in _users(proxy, urls):
            proxy.call("PUT", proxy.client(client["name"], "variations"), {"variations": []})
            say(f"client {client['name']}: no microservice any more")
        runtime.stop(versions)
        manifest.path_of(folder, name).unlink(missing_ok=True)
        say(f"{name}: stopped and removed")


def _users(proxy: Proxy, urls: set[str]) -> list[dict[str, Any]]:
    clients: list[dict[str, Any]] = proxy.call("GET", "/clients")["clients"]
    return [client for client in clients if any(variation["url"] in urls for variation in client["variations"])]


def status(runtime: ProcessRuntime, proxy: Proxy) -> list[str]:
    """Return a line for each microservice: version, state, address, and whose requests it gets."""
    states = runtime.states()
    lines = []
    for version in runtime.versions():
        shares = [
            f"{client['name']} {variation['ratio']:g}"
            for client in _users(proxy, {version.url})
            for variation in client["variations"]
            if variation["url"] == version.url
        ]
        state = states.get(version.program_name, "missing")
        used = ", ".join(shares) or "no client"
        lines.append(f"{version.name}  version {version.version}  {state}  {version.base_url}  {used}  {version.image}")
    return lines


@contextmanager
def locked(home: Home, say: Say) -> Iterator[None]:
    """Hold the home's deployments, after whoever holds them now."""
    with ExitStack() as stack:
        try:
            stack.enter_context(home.lock("deploy.lock", wait=False))
        except BlockingIOError:
            say("another start-microservice is at work; waiting for it ...")
            stack.enter_context(home.lock("deploy.lock", wait=True))
        yield
