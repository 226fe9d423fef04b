"""Virtual environments beside .venv, for what cannot live in it: made once for a lock file, and reused."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class NoInterpreter(Exception):
    """The Python that is needed is not on this machine."""


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
    interpreter = sys.executable if sys.version.startswith(f"{version}.") else shutil.which(f"python{version}")
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
