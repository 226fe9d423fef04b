"""The genuine wrapper, seldon-core, in environments of its own.

1.17.1 is the last under the Apache License. 1.19.0 runs on Python 3.12, is under the Business Source License, and is
here to compare with, in tests alone: nothing of ours ships or needs it.
"""

from pathlib import Path

import pytest

from tests.environments import ROOT, NoInterpreter, environment


@pytest.fixture(scope="session")
def wrapper_python() -> Path:
    try:
        return environment("seldon-1.17.1", ROOT / "requirements" / "seldon.txt")
    except NoInterpreter as error:
        pytest.skip(str(error))


WRAPPERS = {
    "1.17.1": (ROOT / "requirements" / "seldon.txt", "3.11"),
    "1.19.0": (ROOT / "requirements" / "seldon-1.19.txt", "3.12"),
}


@pytest.fixture(scope="session", params=WRAPPERS)
def each_wrapper_python(request: pytest.FixtureRequest) -> Path:
    lock, python = WRAPPERS[request.param]
    try:
        return environment(f"seldon-{request.param}", lock, python)
    except NoInterpreter as error:
        pytest.skip(str(error))
