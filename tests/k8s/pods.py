"""Pods of an overlay as processes of this machine: commands, settings, secrets and probes as the manifests have them.

What differs is what a cluster gives: paths of mounts are folders here, and names of services are ports of this machine.
"""

import base64
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.k8s.manifests import FOLDER, ROOT, Document, find, pod, settings

LIMIT = 180.0


def until(what: str, happened: Callable[[], Any], say: Callable[[], str] = str) -> None:
    """Wait until something has happened."""
    end = time.monotonic() + LIMIT
    while not happened():
        assert time.monotonic() < end, f"{what}: not after {LIMIT:g} s\n{say()}"
        time.sleep(0.1)


def created(kind: str) -> dict[str, dict[str, str]]:
    """The secrets of the documented command."""
    done = subprocess.run([FOLDER / "create-secrets", kind, "--print"], capture_output=True, text=True, check=True)
    return {
        secret["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        for secret in yaml.safe_load_all(done.stdout)
    }


@dataclass
class Node:
    """This machine, in the place of a cluster's node.

    Attributes
    ----------
    places : dict
        What stands for a name and port of the cluster, or for a program of an image: text for text.
    """

    folder: Path
    overlay: str
    secrets: dict[str, dict[str, str]]
    places: dict[str, str] = field(default_factory=dict)

    def translated(self, text: str, mounts: dict[str, Path] | None = None) -> str:
        """Put what is here in the place of what is there, each once."""
        known = self.places | {path: str(folder) for path, folder in (mounts or {}).items()}
        whole = {
            name: rf"(?<![\w/]){re.escape(name)}" if name[0] == "/" else rf"(?<![\w-]){re.escape(name)}"
            for name in known
        }
        found = "|".join(rf"{whole[name]}(?![\w-])" for name in sorted(known, key=len, reverse=True))
        return re.sub(found, lambda match: known[match[0]], text) if known else text


class Container:
    """A container of a workload, and its processes."""

    def __init__(self, node: Node, workload: Document, container: Document) -> None:
        self.node = node
        self.spec = container
        self.folder = node.folder / workload["metadata"]["name"]
        volumes = {volume["name"]: volume for volume in pod(workload)["volumes"]}
        self.mounts = {
            mount["mountPath"]: self._volume(mount["name"], volumes.get(mount["name"], {}))
            for mount in container["volumeMounts"]
        }
        self.log = self.folder / f"{container['name']}.log"

    def _volume(self, name: str, volume: Document) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        sources = [source["secret"] for source in volume.get("projected", {}).get("sources", [])]
        for source in [*sources, *([volume["secret"]] if "secret" in volume else [])]:
            values = self.node.secrets[source.get("name", source.get("secretName"))]
            for item in source["items"]:
                (folder / item["path"]).write_text(self.node.translated(values[item["key"]]))
        return folder

    def words(self, words: list[str]) -> list[str]:
        return [self.node.translated(word, self.mounts) for word in words]

    @property
    def environment(self) -> dict[str, str]:
        own = {entry["name"]: entry["value"] for entry in self.spec.get("env", [])}
        given = own | (settings(self.node.overlay) if "envFrom" in self.spec else {})
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return inherited | {name: self.node.translated(value, self.mounts) for name, value in given.items()}

    @property
    def command(self) -> list[str]:
        entrypoint = (
            self.words(self.spec["command"]) if "command" in self.spec else [sys.executable, "-m", "serving.cli"]
        )
        return [*entrypoint, *self.words(self.spec["args"])]

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run to its end, as an init container does."""
        return subprocess.run(
            self.command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT
        )

    def execute(self, action: Document) -> bool:
        """A probe or hook; whether it succeeds."""
        if "exec" in action:
            command = self.words(action["exec"]["command"])
            done = subprocess.run(command, env=self.environment, capture_output=True, timeout=LIMIT)
            return done.returncode == 0
        ports = {port["name"]: str(port["containerPort"]) for port in self.spec["ports"]}
        port = self.node.translated(ports[action["httpGet"]["port"]])
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{action['httpGet']['path']}", timeout=10) as answer:
                return bool(200 <= answer.status < 400)
        except (urllib.error.URLError, OSError):
            return False

    @contextmanager
    def running(self, *more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run until the block ends; it is entered when all probes succeed, and the process has to survive it."""
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [*self.command, *more], env=self.environment, cwd=self.folder, stdout=log, stderr=log
            )
        try:
            if "postStart" in self.spec.get("lifecycle", {}):
                assert self.execute(self.spec["lifecycle"]["postStart"]), self.log.read_text()
            for name in ("startupProbe", "readinessProbe", "livenessProbe"):
                until(name, lambda probe=self.spec[name]: self.execute(probe), self.log.read_text)
                assert process.poll() is None, self.log.read_text()
            yield process
            assert process.poll() is None, self.log.read_text()
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def containers_of(node: Node, kind: str, name: str) -> tuple[list[Container], Container]:
    """The init containers of a workload, and the one that stays."""
    workload = find(node.overlay, kind, name)
    first = [Container(node, workload, spec) for spec in pod(workload).get("initContainers", [])]
    (spec,) = pod(workload)["containers"]
    return first, Container(node, workload, spec)
