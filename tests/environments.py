"""Virtual environments beside .venv, for what cannot live in it: made once for a lock file, and reused."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class NoInterpreter(Exception):
    """The Python that is needed is not on this machine."""


def find_interpreter(version: str) -> str | Path | None:
    """This one, the newest that pyenv has built, or one on the PATH."""
    if sys.version.startswith(f"{version}."):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    built = sorted(pyenv.glob(f"{version}.*/bin/python{version}"), key=lambda path: int(path.parts[-3].split(".")[2]))
    return built[-1] if built else shutil.which(f"python{version}")  # on the PATH it may be a stub of pyenv's


def environment(name: str, lock: Path, version: str = "3.11") -> Path:
    """The interpreter of an environment with what a lock file lists.

    Parameters
    ----------
    name : str
        Of the folder in ``.venvs``; the lock's digest is added.
    lock : Path
        With hashes.
    version : str
        Of Python.

    Returns
    -------
    Path
        ``.venvs/<name>-<digest>/bin/python``.
    """
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = ROOT / ".venvs" / f"{name}-{digest}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    interpreter = find_interpreter(version)
    if interpreter is None:
        raise NoInterpreter(f"Python {version} is not on this machine")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    print(f"making {folder} ...", file=sys.stderr)
    subprocess.run([interpreter, "-m", "venv", folder], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", lock]
    subprocess.run(install, check=True)
    (folder / "complete").touch()
    return python
