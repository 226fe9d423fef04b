"""Builds and runs the Dockerfile with whatever this machine has for it."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCAL_TOOL = ROOT.parent / "shared" / "tools" / "image"


@dataclass(frozen=True)
class Builder:
    """The command that builds, and the one that runs and asks."""

    build: tuple[str, ...]
    run: tuple[str, ...]

    def image(self, tag: str, context: Path, target: str = "microservice", **arguments: str) -> str:
        """Build a target of the Dockerfile."""
        options = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        dockerfile = str(ROOT / "Dockerfile")
        command = [*self.build, "--target", target, *options, "-f", dockerfile, "-t", tag, str(context)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return tag

    def __call__(self, *words: str) -> str:
        """Run a command such as ``rm`` or ``logs``; its output."""
        done = subprocess.run([*self.run, *words], capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def find_builder() -> Builder:
    """The first that works: docker, podman, a local tool with podman's verbs. None: skip, or fail under CI."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        return Builder(("docker", "build"), ("docker",))
    if LOCAL_TOOL.exists() and os.geteuid() == 0:
        subprocess.run([LOCAL_TOOL, "base", "3.12"], check=True, capture_output=True)
        return Builder((str(LOCAL_TOOL), "build"), (str(LOCAL_TOOL),))
    if shutil.which("podman"):
        return Builder(("podman", "build", "--format", "docker"), ("podman",))
    missing = "no docker engine, no podman: images are not built"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
