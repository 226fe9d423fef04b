import pytest

from detectors.registry import DETECTORS
from detectors.warm import VARIANTS, warm


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_can_be_warmed(name: str) -> None:
    warm(name)


def test_variants_are_of_detectors_there_are() -> None:
    assert VARIANTS.keys() <= DETECTORS.keys()
