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

    def image(self, tag: str, context: Path = ROOT, target: str | None = None, **arguments: str) -> str:
        """Build a target of the Dockerfile, or what it builds when nobody says."""
        options = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        options += [] if target is None else ["--target", target]
        command = [*self.build, *options, "-f", str(ROOT / "Dockerfile"), "-t", tag, str(context)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return tag

    def __call__(self, *words: str) -> str:
        """Run a command such as ``rm`` or ``logs``; its output."""
        done = subprocess.run([*self.run, *words], capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def inspect(self, name: str, what: str) -> str:
        """One fact of an image or a container, as a Go template has it."""
        done = subprocess.run([*self.run, "inspect", "--format", what, name], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def script(self, folder: Path) -> Path:
        """A command for ``scripts/build-image --builder``."""
        command = folder / "builder"
        words = " ".join(f"'{word}'" for word in self.build)
        command.write_text(f'#!/bin/sh\nshift\nexec {words} "$@"\n')
        command.chmod(0o755)
        return command


def find_builder() -> Builder:
    """The first that works: docker, podman, a local tool with podman's verbs. None: skip, or fail under CI."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        return Builder(("docker", "build"), ("docker",))
    if LOCAL_TOOL.exists() and os.geteuid() == 0:
        for version in ("3.12", "3.11"):
            base = f"docker.io/library/python:{version}-slim-bookworm"
            if subprocess.run([LOCAL_TOOL, "inspect", base], capture_output=True).returncode != 0:
                subprocess.run([LOCAL_TOOL, "base", version], check=True, capture_output=True)
        return Builder((str(LOCAL_TOOL), "build", "--layers"), (str(LOCAL_TOOL),))
    if shutil.which("podman"):
        return Builder(("podman", "build", "--format", "docker"), ("podman",))
    missing = "no docker engine, no podman: images are not built"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
