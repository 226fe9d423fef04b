import asyncio
import contextlib
import copy
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from serving import models
from serving.detector_model import DetectorModel
from serving.microservice import reload
from serving.microservice.service import Service
from serving.settings import MicroserviceSettings
from training.artifacts import save_model
from training.model import Model


def of_a_class(uri: str) -> DetectorModel:
    served = models.INNE(uri)
    served.load()
    return served


@pytest.fixture
def path(inne: Model, tmp_path: Path) -> Path:
    return save_model(inne, tmp_path / "model.pkl")


@pytest.fixture
def new(inne: Model) -> Model:
    new = copy.copy(inne)
    new.trained_at = "2030-01-01T00:00:00+00:00"
    return new


def version_after(user: DetectorModel, change: Callable[[], object] = lambda: None, seconds: float = 30) -> str:
    """What is served once another model is, or after so long, if a change comes when the watch has begun."""
    service = Service(user, MicroserviceSettings())
    before = service.version

    async def watched() -> None:
        watching = asyncio.create_task(reload.watch(service, 0.01))
        await asyncio.sleep(0.1)
        change()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while service.version == before:
                    await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(watched())
    return service.version


@pytest.mark.parametrize("load", [models.serve_file, of_a_class])
@pytest.mark.parametrize("address", ["{folder}/model.pkl", "file://{folder}/model.pkl", "file://{folder}"])
def test_a_file_that_changes(path: Path, new: Model, load: Callable[[str], DetectorModel], address: str) -> None:
    user = load(address.format(folder=path.parent))
    assert version_after(user, lambda: save_model(new, path)) == new.trained_at


@pytest.mark.parametrize("load", [models.serve_file, of_a_class])
def test_a_file_that_has_changed_since_it_was_read(
    path: Path, new: Model, load: Callable[[str], DetectorModel]
) -> None:
    user = load(os.fspath(path))
    save_model(new, path)
    assert version_after(user) == new.trained_at


def test_a_file_of_another_name_in_the_same_folder(path: Path, new: Model) -> None:
    def exchange() -> None:
        path.unlink()
        save_model(new, path.with_name("other.pkl"))

    assert version_after(models.serve_file(path.parent), exchange) == new.trained_at


def test_a_file_that_stays_and_a_model_of_no_file(path: Path, inne: Model) -> None:
    for user in (models.serve_file(path), models.INNE.of(inne)):
        assert version_after(user, seconds=0.2) == inne.trained_at
