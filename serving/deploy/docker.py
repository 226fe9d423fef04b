"""The runtime ``docker``: microservices as containers of docker or podman on this machine, by their command line.

A version is a container, ``inlier-<name>-<version>``; until it is to stay, its name has ``-starting`` behind it, so
that what an interrupted start left is known for what it is. The engine keeps the rest: labels say what a container is,
and a named volume holds the model file of -p.
"""

import io
import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3

from serving.deploy.addresses import free_ports
from serving.deploy.home import private_folder
from serving.deploy.locks import taking_turns
from serving.deploy.manifest import GRPC_PORT, HTTP_PORT, MODEL_PATH, MODELS, render
from serving.deploy.process import PORT_TRIES, refuse_no_wait
from serving.deploy.runtime import Kind, Order, Say, Version
from serving.deploy.service import Service
from serving.errors import DeployError
from serving.settings import DeploySettings
from training.sidecars import sidecar_path

ENGINES = ("docker", "podman")
NAME, VERSION, FROM = "inlier.microservice", "inlier.version", "inlier.from"
STARTING = "-starting"
POLL_SECONDS = 0.2
CALL_SECONDS = 60
PROBE_SECONDS = 30
PULL_SECONDS = 900
LOG_LINES = "12"
TAKEN = ("address already in use", "port is already allocated")
HARDENED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=10001:10001",
    "--tmpfs=/tmp:rw,noexec,nosuid,size=64m",
    "--restart=unless-stopped",
)


@dataclass(frozen=True)
class Container:
    """One version of a microservice."""

    name: str
    version: int
    image: str
    title: str
    urls: Mapping[Kind, str]
    state: str
    restarts: int
    port: int

    @property
    def final_title(self) -> str:
        """Return the container's name once it is there to stay."""
        return self.title.removesuffix(STARTING)


class Engine:
    """The command line of a container engine."""

    def __init__(self, program: str) -> None:
        self.program = program

    def call(self, *arguments: str, given: bytes | None = None, seconds: float = CALL_SECONDS) -> str:
        """Return what a command prints.

        Raises
        ------
        DeployError
            With the last line of what it says is wrong.
        """
        try:
            done = subprocess.run(  # noqa: S603 - names and images are checked, and no shell reads them
                [self.program, *arguments], input=given, capture_output=True, timeout=seconds, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeployError(f"{self.program} {arguments[0]}: {error}") from error
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
            raise DeployError(f"{self.program} {arguments[0]}: {lines[-1].strip()}")
        return done.stdout.decode(errors="replace")

    def log(self, container: str) -> list[str]:
        """Return the last lines that a container wrote, on both of its outputs."""
        try:
            done = subprocess.run(  # noqa: S603 - as above
                [self.program, "logs", "--tail", LOG_LINES, container],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=CALL_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:  # what the log was wanted for is said nevertheless
            return [f"{self.program} logs: {error}"]
        return done.stdout.decode(errors="replace").splitlines()


def find_engine() -> Engine:
    """Return an engine that answers.

    Raises
    ------
    DeployError
        When there is none.
    """
    found = [program for program in ENGINES if shutil.which(program)]
    problems = []
    for program in found:
        engine = Engine(program)
        try:
            engine.call("ps", "--quiet", seconds=PROBE_SECONDS)
        except DeployError as error:
            problems.append(str(error))
        else:
            return engine
    raise DeployError("; ".join(problems) or f"there is no container engine ({' or '.join(ENGINES)})")


class DockerRuntime:
    """Starts and stops containers.

    Parameters
    ----------
    engine : Engine
        Of this machine.
    settings : DeploySettings
        How long things may take, and the network that the proxy is in.
    say : callable
        Takes a line for the person who waits.
    """

    name = "docker"
    reads_storage = False

    def __init__(self, engine: Engine, settings: DeploySettings, say: Say) -> None:
        self._engine = engine
        self._settings = settings
        self._say = say

    def check(self, order: Order) -> None:
        """Refuse what no engine could fetch."""
        refuse_no_wait(self.name, order)
        for service in order.services:
            if service.is_address:
                raise DeployError(f"{service.name}: {service.model} is fetched on a cluster only; name a model file")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this machine's deployments, and throw away what an interrupted start left."""
        with taking_turns(private_folder() / "docker.lock", self._say):
            self._discard([each for each in self._all() if each.title.endswith(STARTING)])
            yield

    def versions(self) -> list[Container]:
        """Return the containers that are there to stay."""
        return [each for each in self._all() if not each.title.endswith(STARTING)]

    def states(self) -> dict[str, str]:
        """Return the state of each container."""
        return {f"{each.name}.{each.version}": each.state for each in self.versions()}

    def manifests(self, order: Order) -> dict[str, dict[str, object]]:
        """Return what would run the same on a cluster."""
        return {service.name: render(service, self._settings, order.copies) for service in order.services}

    def start(self, order: Order) -> list[Container]:
        """Start a container of each and return them when all are ready; after a failure none is left."""
        titles: list[str] = []
        try:
            for service in order.services:
                titles.append(self._title(service))
                self._run(service, titles[-1], order.copies)
            return [self._wait(title) for title in titles]
        except BaseException:
            self._discard([each for each in self._all() if each.title in titles])
            raise

    def keep(self, versions: Sequence[Version]) -> None:
        """Let containers have the names that they keep."""
        for each in self._those(versions):
            if each.title != each.final_title:
                self._engine.call("rename", each.title, each.final_title)

    def undo(self, versions: Sequence[Version]) -> None:
        """Remove new containers; the old ones have not been touched."""
        self._discard(self._those(versions))

    def stop(self, versions: Sequence[Version]) -> None:
        """Stop containers, each after the requests that it has, and remove them."""
        for each in self._those(versions):
            self._engine.call("stop", "-t", str(self._settings.stop_seconds), each.title)
            self._discard([each])
            self._say(f"{each.name}: version {each.version} stopped")

    def _those(self, versions: Sequence[Version]) -> list[Container]:
        wanted = {(version.name, version.version) for version in versions}
        return [each for each in self._all() if (each.name, each.version) in wanted]

    def _all(self) -> list[Container]:
        ids = self._engine.call("ps", "--all", "--quiet", "--filter", f"label={NAME}").split()
        if not ids:
            return []
        described = json.loads(self._engine.call("inspect", "--type", "container", *ids))
        return sorted((self._read(each) for each in described), key=lambda each: (each.name, each.version))

    def _read(self, described: Any) -> Container:
        labels, title = described["Config"]["Labels"], described["Name"].lstrip("/")
        bound = described["HostConfig"]["PortBindings"] or {}
        port, grpc_port = (int(bound[f"{port}/tcp"][0]["HostPort"]) for port in (HTTP_PORT, GRPC_PORT))
        host, ports = "127.0.0.1", (port, grpc_port)
        if self._settings.docker_network:
            host, ports = title.removesuffix(STARTING), (HTTP_PORT, GRPC_PORT)
        return Container(
            labels[NAME],
            int(labels[VERSION]),
            labels[FROM],
            title,
            {"rest": f"http://{host}:{ports[0]}/predict", "rpc": f"grpc://{host}:{ports[1]}"},
            described["State"]["Status"],
            int(described.get("RestartCount") or 0),
            port,
        )

    def _title(self, service: Service) -> str:
        version = max((each.version for each in self._all() if each.name == service.name), default=0) + 1
        return f"inlier-{service.name}-{version}{STARTING}"

    def _run(self, service: Service, title: str, replicas: int) -> None:
        """Start a container; a port that was taken meanwhile is no failure."""
        for attempt in range(1, PORT_TRIES + 1):
            try:
                self._create(service, title, replicas)
                self._engine.call("start", title)
            except DeployError as error:
                if attempt == PORT_TRIES or not any(words in str(error).lower() for words in TAKEN):
                    raise DeployError(f"{service.name}: {error}; what ran before still does") from None
                self._discard([each for each in self._all() if each.title == title])
            else:
                self._say(f"{service.name}: the container {title.removesuffix(STARTING)} starts ...")
                return

    def _create(self, service: Service, title: str, replicas: int) -> None:
        final = title.removesuffix(STARTING)
        port, grpc_port = free_ports(2)
        facts = {NAME: service.name, VERSION: final.rpartition("-")[2], FROM: service.asked}
        environment = {
            "PREDICTIVE_UNIT_ID": service.name,
            "PREDICTIVE_UNIT_IMAGE": service.image,
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(HTTP_PORT),
            "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(GRPC_PORT),
            "INLIER_WORKERS": str(replicas),
        }
        arguments = ["create", "--name", title, *HARDENED, "--stop-timeout", str(self._settings.stop_seconds)]
        arguments += [f"--publish=127.0.0.1:{port}:{HTTP_PORT}", f"--publish=127.0.0.1:{grpc_port}:{GRPC_PORT}"]
        arguments += [f"--label={name}={value}" for name, value in facts.items()]
        arguments += [f"--env={name}={value}" for name, value in environment.items()]
        if self._settings.docker_network:
            arguments += ["--network", self._settings.docker_network, "--network-alias", final]
        if service.file is None:
            self._engine.call(*arguments, service.image, seconds=PULL_SECONDS)
            return
        self._engine.call(*arguments, f"--volume={final}:{MODELS}", service.image, MODEL_PATH, seconds=PULL_SECONDS)
        self._engine.call("cp", "-", f"{title}:{MODELS}", given=_archive(service), seconds=PULL_SECONDS)

    def _wait(self, title: str) -> Container:
        began = time.monotonic()
        with urllib3.PoolManager(timeout=2.0, retries=False) as pool:
            while True:
                each = next((each for each in self._all() if each.title == title), None)
                if each is None:
                    raise DeployError(f"{title} was removed while it was starting; what ran before still does")
                if each.state not in {"running", "created", "starting"} or each.restarts:
                    raise self._failed(each, "ended while it was starting")
                if _is_ready(pool, each.port):
                    self._say(f"{each.name}: ready after {time.monotonic() - began:.1f} s")
                    return each
                if time.monotonic() - began > self._settings.ready_seconds:
                    raise self._failed(each, f"was not ready within {self._settings.ready_seconds:g} s")
                time.sleep(POLL_SECONDS)

    def _failed(self, each: Container, what: str) -> DeployError:
        log = "".join(f"\n  {line}" for line in self._engine.log(each.title))
        return DeployError(
            f"{each.name}: version {each.version} {what}; what ran before still does. The end of its log:{log}"
        )

    def _discard(self, containers: Sequence[Container]) -> None:
        for each in containers:
            self._engine.call("rm", "--force", each.title)
            volumes = self._engine.call("volume", "ls", "--quiet").split()
            if each.final_title in volumes:
                self._engine.call("volume", "rm", each.final_title)


def _is_ready(pool: urllib3.PoolManager, port: int) -> bool:
    try:
        return pool.request("GET", f"http://127.0.0.1:{port}/health/status").status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _archive(service: Service) -> bytes:
    """Return the model file and its sidecar as a tar archive of files that everybody may read and nobody may change."""
    assert service.file is not None  # noqa: S101 - for the type checker
    assert service.file.path is not None  # noqa: S101 - as reads_storage says
    buffer = io.BytesIO()
    name = MODEL_PATH.rpartition("/")[2]
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, entry in ((service.file.path, name), (sidecar_path(service.file.path), f"{name}.json")):
            content = path.read_bytes()
            facts = tarfile.TarInfo(entry)
            facts.size, facts.mode = len(content), 0o444
            archive.addfile(facts, io.BytesIO(content))
    return buffer.getvalue()
