"""The genuine wrapper, seldon-core 1.17.1, in an environment of its own."""

from pathlib import Path

import pytest

from tests.environments import ROOT, NoInterpreter, environment


@pytest.fixture(scope="session")
def wrapper_python() -> Path:
    try:
        return environment("seldon-1.17.1", ROOT / "requirements" / "seldon.txt")
    except NoInterpreter as error:
        pytest.skip(str(error))
