"""The runtime ``process``: microservices as processes of this machine, supervised by `inlier up`."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import urllib3

from serving.deploy import declared as declarations
from serving.deploy.declared import MODEL_FILE, Declared
from serving.deploy.home import Home
from serving.deploy.locks import taking_turns
from serving.deploy.manifest import render
from serving.deploy.runtime import Order, Say, Version
from serving.deploy.service import Service
from serving.deploy.supervisor import STATES_ALIVE, Program, Supervisor, log_tail, write_config
from serving.errors import DeployError
from serving.settings import DeploySettings

PORT_TRIES = 4
POLL_SECONDS = 0.1
SIDECAR = ".json"
BUILTIN_TRAINING = ("--synthetic", "demo", "--seed", "0")  # as in the image: everybody's demo says the same


def programs(home: Home, settings: DeploySettings, host: str, port: int) -> list[Program]:
    """Return everything that should run: the proxy, a worker for its tasks, and what is declared."""
    arguments = ["--host", host, "--port", str(port)]
    proxy = Program("proxy", "serving.proxy", arguments, settings.stop_seconds)
    worker = Program("worker", "serving.cli", ["worker", "--examples"], settings.stop_seconds)
    return [proxy, worker, *(each.program(settings.stop_seconds) for each in declarations.read_all(home))]


class ProcessRuntime:
    """Starts and stops versions of microservices on a home that `inlier up` runs.

    Parameters
    ----------
    home : Home
        The folder.
    settings : DeploySettings
        What images run as, and how long things may take.
    say : callable
        Takes a line for the person who waits.
    """

    name = "process"
    reads_storage = False

    def __init__(self, home: Home, settings: DeploySettings, say: Say) -> None:
        running = home.running()
        if running is None:
            raise DeployError(f"nothing runs in {home.path}: start it with `inlier up`, or say where with --home")
        self._running = running
        self._home = home
        self._settings = settings
        self._say = say
        self._supervisor = Supervisor(running.socket)

    @property
    def server(self) -> str:
        """Return the address of the home's proxy."""
        return self._running.server

    def check(self, order: Order) -> None:
        """Refuse images that do not run as a process."""
        refuse_no_wait(self.name, order)
        for service in order.services:
            if service.is_address:
                raise DeployError(f"{service.name}: {service.model} is fetched on a cluster only; name a model file")
            if service.model is None:
                self._detector(service)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the home's deployments, and throw away what an interrupted start left."""
        with taking_turns(self._home.path / "deploy.lock", self._say):
            self._discard([version for version in self.versions() if not version.serving])
            yield

    def versions(self) -> list[Declared]:
        """Return what is declared."""
        return declarations.read_all(self._home)

    def manifests(self, order: Order) -> dict[str, dict[str, object]]:
        """Return what would run the same on a cluster."""
        return {service.name: render(service, self._settings, order.copies) for service in order.services}

    def states(self) -> dict[str, str]:
        """Return the state of each version's process, by program name."""
        return {name: state.lower() for name, (state, _) in self._supervisor.states().items()}

    def start(self, order: Order) -> list[Declared]:
        """Start a new version of each and return them when all are ready; after a failure none is left."""
        started: list[Declared] = []
        try:
            started.extend(self._prepare(service, order.copies) for service in order.services)
            ready = [self._run(version) for version in started]
        except BaseException:
            self._discard(started)
            raise
        return ready

    def keep(self, versions: Sequence[Version]) -> None:
        """Let versions come back with the next `inlier up`."""
        for version in self._declared(versions):
            declarations.save(self._home, replace(version, serving=True))

    def undo(self, versions: Sequence[Version]) -> None:
        """Stop new versions; the old ones have not been touched."""
        self._discard(self._declared(versions))

    def stop(self, versions: Sequence[Version]) -> None:
        """Stop versions, each after the requests that it has, and forget them."""
        for version in self._declared(versions):
            self._discard([version])
            self._say(f"{version.name}: version {version.version} stopped")

    def _declared(self, versions: Sequence[Version]) -> list[Declared]:
        wanted = {(version.name, version.version) for version in versions}
        return [each for each in self.versions() if (each.name, each.version) in wanted]

    def _discard(self, versions: Sequence[Declared]) -> None:
        for version in versions:
            self._supervisor.stop(version.program_name)
            declarations.forget(self._home, version)
        if versions:
            self._configure()

    def _configure(self) -> None:
        write_config(self._home, programs(self._home, self._settings, self._running.host, self._running.port))
        self._supervisor.reload()

    def _detector(self, service: Service) -> str:
        for pattern, detector in self._settings.detector_images.items():
            if fnmatchcase(service.image, pattern):
                return detector
        known = [*self._settings.image_aliases, *self._settings.detector_images]
        raise DeployError(
            f"{service.name}: unknown image {service.asked!r}; those that run as a process: {', '.join(known)}"
        )

    def _prepare(self, service: Service, replicas: int) -> Declared:
        """Declare a version and put its model file, and what is written beside it, in its place."""
        model = self._model(service)
        version = declarations.next_version(self._home, service.name)
        declared = Declared(service.name, version, 0, service.asked, str(service.model or model.absolute()), replicas)
        target = self._home.models / declared.program_name / MODEL_FILE
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(model, target)
            sidecar = model.with_name(model.name + SIDECAR)
            if sidecar.is_file():
                shutil.copyfile(sidecar, target.with_name(target.name + SIDECAR))
        except OSError as error:
            raise DeployError(f"{service.name}: cannot copy {model}: {error.strerror}") from error
        return declared

    def _model(self, service: Service) -> Path:
        if service.file is None:
            return self._builtin_model(self._detector(service))
        assert service.file.path is not None  # noqa: S101 - as reads_storage says
        return service.file.path

    def _builtin_model(self, detector: str) -> Path:
        """Return the model file of a built-in detector, trained now if it was not yet."""
        path = self._home.models / "builtin" / f"{detector}.pkl"
        if path.is_file():
            return path
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self._say(f"training {detector} on generated data ...")
        command = [sys.executable, "-P", "-m", "serving.cli", "train", "--detector", detector, "--out", str(path)]
        command += BUILTIN_TRAINING
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise DeployError(f"training {detector} failed: {lines[-1] if lines else f'status {done.returncode}'}")
        return path

    def _run(self, declared: Declared) -> Declared:
        """Start a version on a free port and wait until it is ready; a port that was taken meanwhile is no failure."""
        for attempt in range(1, PORT_TRIES + 1):
            version = declarations.save(self._home, declarations.with_free_ports(declared))
            self._configure()
            self._supervisor.start(version.program_name)
            self._say(f"{version.name}: version {version.version} starts on port {version.port} ...")
            try:
                self._wait(version)
            except DeployError:
                taken = "address already in use" in " ".join(log_tail(self._home, version.program_name)).lower()
                if attempt == PORT_TRIES or not taken:
                    raise
                self._supervisor.stop(version.program_name)
                self._say(f"{version.name}: port {version.port} was taken meanwhile, trying another")
            else:
                return version
        raise AssertionError("unreachable")

    def _wait(self, version: Declared) -> None:
        began = time.monotonic()
        first_pid = 0
        with urllib3.PoolManager(timeout=2.0, retries=False) as pool:
            while time.monotonic() - began < self._settings.ready_seconds:
                state, pid = self._supervisor.states()[version.program_name]
                first_pid = first_pid or pid
                if state not in STATES_ALIVE or pid != first_pid:
                    raise self._failed(version, "ended while it was starting")
                if is_ready(pool, version):
                    self._say(f"{version.name}: ready after {time.monotonic() - began:.1f} s")
                    return
                time.sleep(POLL_SECONDS)
        raise self._failed(version, f"was not ready within {self._settings.ready_seconds:g} s")

    def _failed(self, version: Declared, what: str) -> DeployError:
        lines = log_tail(self._home, version.program_name)
        log = "".join(f"\n  {line}" for line in lines)
        return DeployError(
            f"{version.name}: version {version.version} {what}; what ran before still does. The end of its log:{log}"
        )


def refuse_no_wait(name: str, order: Order) -> None:
    """Say that a runtime always waits."""
    if not order.waits:
        raise DeployError(
            f"--no-wait is for the runtime kubernetes; {name} stops the old version when the new is ready"
        )


def is_ready(pool: urllib3.PoolManager, version: Declared) -> bool:
    """Tell whether a version answers predictions."""
    try:
        return pool.request("GET", f"{version.base_url}/health/status").status == 200
    except urllib3.exceptions.HTTPError:
        return False
