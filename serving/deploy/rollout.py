"""One step after the other: check, write the manifests, start, wait, switch the client, stop the old versions.

It works on any `Runtime`. What fails before the switch leaves everything as it was, the manifests too; the switch is
one request to the proxy, and one transaction there. When its answer got lost, the proxy is asked whether it is in
force; when that cannot be known, the old and the new versions run on, and the manifests are those of the new ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from detectors.errors import InlierError
from serving.deploy import manifest, model_files
from serving.deploy.calls import Proxy
from serving.deploy.runtime import Order, Runtime, Say, Version
from serving.deploy.service import check
from serving.errors import CallError, DeployError


class _Unsettled(CallError):
    """The switch may be in force: nothing is taken back."""


def deploy(runtime: Runtime, proxy: Proxy, client: str, order: Order, folder: Path, say: Say) -> None:
    """Start microservices for a client, in the place of what it had.

    Raises
    ------
    DeployError
        Nothing of what ran before has changed.
    """
    check(order.services)
    order = replace(order, services=[model_files.locate(service, proxy) for service in order.services])
    runtime.check(order)
    had = proxy.call("GET", proxy.client(client))  # an unknown client is found out before anything is done
    for service in order.services:
        if service.substituted:
            say(f"{service.name}: {service.image} stands for {service.asked}")
    with ExitStack() as stack:
        if runtime.reads_storage:
            model_files.upload(order.services, proxy, say)
        else:
            here = stack.enter_context(model_files.on_this_machine(order.services, proxy))
            order = replace(order, services=here)
        stack.enter_context(runtime.locked())
        with _written(runtime, order, folder, say):
            old = _roll_out(runtime, proxy, client, order, say)
        runtime.stop(old)  # the client has been switched: if this fails, the manifests are right nevertheless
        if order.waits:
            _tell_of_left_over(runtime, proxy, {variation["url"] for variation in had["variations"]}, say)


@contextmanager
def _written(runtime: Runtime, order: Order, folder: Path, say: Say) -> Iterator[None]:
    """Write the manifests; put back what was there before if what follows fails."""
    before = {}
    try:
        for name, content in runtime.manifests(order).items():
            path = manifest.path_of(folder, name)
            before[path] = path.read_bytes() if path.is_file() else None
            say(f"wrote {manifest.write(folder, name, content)}")
        yield
    except _Unsettled:
        raise
    except BaseException:
        for path, content_before in before.items():
            manifest.write_bytes(path, content_before)
        raise


def _roll_out(runtime: Runtime, proxy: Proxy, client: str, order: Order, say: Say) -> Sequence[Version]:
    """Start, switch the client, and return the versions that nobody needs any more."""
    taken = _urls(runtime.versions())
    versions = runtime.start(order)
    if not order.waits:
        say(f"client {client}: its requests go where they went; the same without --no-wait waits, and switches them")
        return []
    old = _older(runtime.versions(), versions)
    try:
        runtime.keep(versions)
        _switch(proxy, client, order, versions, old)
    except BaseException as error:
        in_force = _in_force(proxy, client, _urls(versions) - taken, error)
        if in_force is False:
            runtime.undo(versions)
            raise
        if in_force is None or not isinstance(error, CallError):
            new = ", ".join(f"{version.name} version {version.version}" for version in versions)
            why = str(error) or "interrupted"
            raise _Unsettled(f"{why}; client {client} may use {new} already, so old and new run on") from error
    say(f"client {client}: " + ", ".join(f"{service.name} {service.ratio:g}" for service in order.services))
    return old


def _in_force(proxy: Proxy, client: str, new: set[str], error: BaseException) -> bool | None:
    """Tell whether a client uses new URLs after an error; None when the proxy does not say."""
    refused = isinstance(error, InlierError) and (not isinstance(error, CallError) or error.status is not None)
    if refused or not new:  # a cluster's address stays the same: what was there before can be there again
        return False
    try:
        variations = proxy.call("GET", proxy.client(client, "variations"))["variations"]
    except CallError:
        return None
    return any(variation["url"] in new for variation in variations)


def _urls(versions: Sequence[Version]) -> set[str]:
    return {url for version in versions for url in version.urls.values()}


def _tell_of_left_over(runtime: Runtime, proxy: Proxy, urls: set[str], say: Say) -> None:
    """Say what runs on although its last client has just gone: somebody may want it back, or ask it directly."""
    with suppress(CallError, DeployError):  # all is done, whether it can be told or not
        for version in runtime.versions():
            own = set(version.urls.values())
            if own & urls and not _users(proxy, own):
                say(f"{version.name}: runs on without a client; start-microservice --remove {version.name} stops it")


def _older(every: Sequence[Version], new: Sequence[Version]) -> list[Version]:
    versions = {version.name: version.version for version in new}
    return [version for version in every if version.version < versions.get(version.name, 0)]


def _switch(proxy: Proxy, client: str, order: Order, versions: Sequence[Version], old: Sequence[Version]) -> None:
    """Let the client's requests, and other clients' to the same microservices, go to the new versions."""
    urls = {version.name: version.urls for version in versions}
    variations = [
        {
            "label": service.name,
            "ratio": service.ratio,
            "kind": service.kind,
            "url": urls[service.name][service.kind],
        }
        for service in order.services
    ]
    moved = {url: urls[version.name][kind] for version in old for kind, url in version.urls.items()}
    path, switched = proxy.client(client, "variations"), {"variations": variations, "moved": moved}
    try:
        proxy.call("PUT", path, switched)
    except CallError as error:
        if error.status is not None:
            raise
        proxy.call("PUT", path, switched)  # no answer came, yet it may be in force; twice is the same as once


def remove(runtime: Runtime, proxy: Proxy, name: str, folder: Path, say: Say) -> None:
    """Stop a microservice and delete its manifest; one that shares a client's requests with others stays."""
    with runtime.locked():
        versions = [version for version in runtime.versions() if version.name == name]
        if not versions:
            known = sorted({version.name for version in runtime.versions()})
            raise DeployError(f"there is no microservice {name!r}; there are: {', '.join(known) or 'none'}")
        urls = _urls(versions)
        users = _users(proxy, urls)
        for client in users:
            if {variation["url"] for variation in client["variations"]} - urls:
                raise DeployError(
                    f"{name} gets a share of the requests of client {client['name']!r}; start its other microservices "
                    "with ratios that add up to 1 first"
                )
        for client in users:
            proxy.call("PUT", proxy.client(client["name"], "variations"), {"variations": []})
            say(f"client {client['name']}: no microservice any more")
        runtime.stop(versions)
        manifest.write_bytes(manifest.path_of(folder, name), None)
        say(f"{name}: removed")


def _users(proxy: Proxy, urls: set[str]) -> list[dict[str, Any]]:
    clients: list[dict[str, Any]] = proxy.call("GET", "/clients")["clients"]
    return [client for client in clients if any(variation["url"] in urls for variation in client["variations"])]


def status(runtime: Runtime, proxy: Proxy) -> list[str]:
    """Return a line for each microservice: version, state, address, and whose requests it gets."""
    states = runtime.states()
    lines = []
    for version in runtime.versions():
        urls = set(version.urls.values())
        shares = [
            f"{client['name']} {variation['ratio']:g}"
            for client in _users(proxy, urls)
            for variation in client["variations"]
            if variation["url"] in urls
        ]
        state = states.get(f"{version.name}.{version.version}", "missing")
        used = ", ".join(shares) or "no client"
        where = version.urls.get("rest", "")
        lines.append(f"{version.name}  version {version.version}  {state}  {where}  {used}  {version.image}")
    return lines
