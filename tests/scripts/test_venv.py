"""How scripts make .venv: with which Python, and what they do about one that is of no use."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OLD = "#!/bin/sh\necho Python 3.9.1\nexit 1\n"
# new enough, and tells where it was asked to make an environment
NEW = '#!/bin/sh\n[ "$1 $2" != "-m venv" ] || { echo "made $PWD/$3" >&2; exit 1; }\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "a clone"
    for file in ("scripts/demo", "scripts/venv.sh", "requirements/demo.txt", "requirements/dev.txt", "setup.py"):
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        (clone / file).write_text((ROOT / file).read_text())
    return clone


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def demo(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{clone.parent / 'bin'}:/usr/bin:/bin"
    return subprocess.run(
        ["bash", clone / "scripts" / "demo"], capture_output=True, text=True, env={"PATH": path, **environment}
    )


def test_an_old_python_is_one_line(clone: Path) -> None:
    program(clone.parent / "bin" / "python3", OLD)
    for name in ("python3.11", "python3.12"):
        program(clone.parent / "bin" / name, OLD)
    done = demo(clone)
    assert done.returncode == 2
    assert done.stderr.startswith("demo: Python 3.11 or 3.12 is needed; python3 is Python 3.9.1.")
    assert done.stderr.count("\n") == 1


def test_the_python_that_is_named_is_the_one_that_is_meant(clone: Path) -> None:
    program(clone.parent / "bin" / "python3", NEW)
    old = program(clone.parent / "old one" / "python", OLD)
    done = demo(clone, PYTHON=str(old))
    assert (done.returncode, done.stderr) == (2, f"demo: Python 3.11 or 3.12 is needed, and PYTHON={old} is neither\n")
    new = program(clone.parent / "new one" / "python", NEW)
    assert demo(clone, PYTHON=str(new)).stderr.startswith(f"made {clone}/.venv\ndemo: {new} cannot make")


def test_an_environment_without_pip_is_completed(clone: Path) -> None:
    program(clone.parent / "bin" / "python3", NEW)
    program(clone / ".venv" / "bin" / "python", "#!/bin/sh\necho No module named pip >&2\nexit 1\n")
    assert demo(clone).stderr.startswith(f"made {clone}/.venv\n")


def test_an_environment_that_was_moved_is_made_anew(clone: Path) -> None:
    program(clone.parent / "bin" / "python3", NEW)
    program(clone / ".venv" / "bin" / "python", "#!/bin/sh\nexit 0\n")
    (clone / ".venv" / "pyvenv.cfg").write_text("command = /usr/bin/python3 -m venv /home/elsewhere/.venv\n")
    done = demo(clone)
    assert done.stderr.startswith(f"{clone}/.venv was made for another folder, and is made anew\nmade {clone}/.venv\n")
    assert not (clone / ".venv").exists()
