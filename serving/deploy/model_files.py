"""The model files of -p: on this machine, or in the storage of the proxy; and how they get from one to the other."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from serving.deploy.calls import Proxy
from serving.deploy.runtime import Say
from serving.deploy.service import ModelFile, Service
from serving.errors import CallError, DeployError
from training import files
from training.errors import ModelFileError
from training.sidecars import entry_for, sidecar_path

FOLDER = "microservices"
NOT_THERE = {400, 404}  # 400: it is no path that the storage could have


def locate(service: Service, proxy: Proxy | None) -> Service:
    """Return a microservice that knows where its model file is, and what its digest is.

    Raises
    ------
    DeployError
        When it is neither on this machine nor in the storage, or nothing vouches for it.
    """
    if service.model is None or service.is_address:
        return service
    path = _on_this_machine(service)
    if path is not None:
        return replace(service, file=_described(service, path))
    found = None if proxy is None else _in_storage(service, proxy)
    if found is None:
        where = "" if proxy is None else ", neither on this machine nor in the storage of the proxy"
        raise DeployError(f"{service.name}: there is no model file {service.model}{where}")
    return replace(service, file=found)


def _on_this_machine(service: Service) -> Path | None:
    path = Path(str(service.model))
    try:
        if path.is_file():
            with path.open("rb"):
                return path
        if path.is_dir():
            raise DeployError(f"{service.name}: {path} is a folder; name the model file in it")
    except (OSError, ValueError) as error:
        raise DeployError(f"{service.name}: cannot read {service.model}: {error}") from None
    return None


def _described(service: Service, path: Path) -> ModelFile:
    digest, size = files.sha256(path), path.stat().st_size
    try:
        entry_for(sidecar_path(path).read_bytes(), size, digest, path)
    except FileNotFoundError:
        beside = sidecar_path(path).name
        raise DeployError(f"{service.name}: {path} has no {beside} beside it, so nothing vouches for it") from None
    except (OSError, ModelFileError) as error:
        raise DeployError(f"{service.name}: {error}") from None
    return ModelFile(f"{FOLDER}/{service.name}/{digest}.pkl", digest, path)


def _in_storage(service: Service, proxy: Proxy) -> ModelFile | None:
    key = str(service.model).lstrip("/")
    beside = _get(proxy, f"{key}.json")
    if beside is None or not _is_there(proxy, key):
        return None
    try:
        return ModelFile(key, str(json.loads(beside)["sha256"]), None)
    except (ValueError, KeyError, TypeError):
        raise DeployError(f"{service.name}: {key}.json in the storage is not what vouches for a model") from None


def _path(key: str) -> str:
    return f"/files/{quote(key)}"


def _is_there(proxy: Proxy, key: str) -> bool:
    return proxy.send("HEAD", _path(key))[0] == 200


def _get(proxy: Proxy, key: str) -> bytes | None:
    status, body = proxy.send("GET", _path(key))
    if status in NOT_THERE:
        return None
    proxy.expect(status, body)
    return body


def upload(services: Sequence[Service], proxy: Proxy, say: Say) -> None:
    """Put model files of this machine into the storage, unless they are there; their names hold their digests."""
    for service in services:
        if service.file is None or service.file.path is None:
            continue
        if _is_there(proxy, f"{service.file.key}.json") and _is_there(proxy, service.file.key):
            continue
        for source, key in (
            (service.file.path, service.file.key),
            (sidecar_path(service.file.path), f"{service.file.key}.json"),
        ):
            with source.open("rb") as stream:
                proxy.expect(*proxy.send("PUT", _path(key), body=stream, size=source.stat().st_size))
        say(f"{service.name}: {service.model} is in the storage of the proxy, as {service.file.key}")


@contextmanager
def on_this_machine(services: Sequence[Service], proxy: Proxy) -> Iterator[list[Service]]:
    """Give microservices whose model files are all on this machine; those of the storage are fetched."""
    with TemporaryDirectory(prefix="inlier-models-") as folder:
        yield [_fetched(service, proxy, Path(folder)) for service in services]


def _fetched(service: Service, proxy: Proxy, folder: Path) -> Service:
    if service.file is None or service.file.path is not None:
        return service
    target = folder / f"{service.name}.pkl"
    for key, path in ((service.file.key, target), (f"{service.file.key}.json", sidecar_path(target))):
        content = _get(proxy, key)
        if content is None:
            raise DeployError(f"{service.name}: {key} has gone from the storage")
        path.write_bytes(content)
    if files.sha256(target) != service.file.sha256:
        raise CallError(f"{service.name}: {service.file.key} in the storage is not what its sidecar speaks of")
    return replace(service, file=replace(service.file, path=target))
