"""Which microservices are declared on this machine: a file each, so that they come back with `inlier up`."""

import json
import re
import shutil
from dataclasses import asdict, dataclass, replace

from serving.deploy.addresses import free_ports
from serving.deploy.home import Home, write_text
from serving.deploy.runtime import Kind
from serving.deploy.supervisor import Program
from serving.errors import DeployError

FILE_NAME = re.compile(r"(?P<name>[a-z0-9-]+)\.(?P<version>[0-9]+)\.json")
MODEL_FILE = "model.pkl"


@dataclass(frozen=True)
class Declared:
    """One version of a microservice as a process: ``serving`` once it was ready, before that it may be thrown away.

    What an earlier Inlier declared has no gRPC port; it gets one when it moves.
    """

    name: str
    version: int
    port: int
    image: str
    model: str
    workers: int = 1
    serving: bool = False
    grpc_port: int = 0

    @property
    def program_name(self) -> str:
        """Return its name among supervisord's programs, and of its files."""
        return f"{self.name}.{self.version}"

    @property
    def base_url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def urls(self) -> dict[Kind, str]:
        """Return where it predicts, by protocol."""
        rest: dict[Kind, str] = {"rest": f"{self.base_url}/predict"}
        return rest | ({"rpc": f"grpc://127.0.0.1:{self.grpc_port}"} if self.grpc_port else {})

    @property
    def ports(self) -> list[int]:
        """Return the ports that it listens on."""
        return [port for port in (self.port, self.grpc_port) if port]

    def program(self, stop_seconds: int) -> Program:
        """Return how it is run."""
        arguments = ["serve", f"models/{self.program_name}/{MODEL_FILE}", "--host", "127.0.0.1"]
        arguments += ["--port", str(self.port), "--workers", str(self.workers)]
        if self.grpc_port:
            arguments += ["--grpc-port", str(self.grpc_port)]
        return Program(self.program_name, "serving.cli", arguments, stop_seconds)


def read_all(home: Home) -> list[Declared]:
    """Return everything declared, by name and version."""
    found = []
    for path in home.microservices.iterdir():
        if FILE_NAME.fullmatch(path.name):
            try:
                found.append(Declared(**json.loads(path.read_text())))
            except (OSError, ValueError, TypeError) as error:
                raise DeployError(f"cannot read {path}: {error}") from error
    return sorted(found, key=lambda declared: (declared.name, declared.version))


def save(home: Home, declared: Declared) -> Declared:
    """Write one down."""
    write_text(home.microservices / f"{declared.program_name}.json", json.dumps(asdict(declared), indent=2) + "\n")
    return declared


def forget(home: Home, declared: Declared) -> None:
    """Remove one, with its model file."""
    (home.microservices / f"{declared.program_name}.json").unlink(missing_ok=True)
    shutil.rmtree(home.models / declared.program_name, ignore_errors=True)


def next_version(home: Home, name: str) -> int:
    """Return a version that neither a microservice nor a log of that name has had."""
    versions = [declared.version for declared in read_all(home) if declared.name == name]
    versions += [int(path.name.split(".")[1]) for path in home.logs.glob(f"{name}.*.log")]
    return max(versions, default=0) + 1


def with_free_ports(declared: Declared) -> Declared:
    """Return the same at other ports."""
    port, grpc_port = free_ports(2)
    return replace(declared, port=port, grpc_port=grpc_port)
