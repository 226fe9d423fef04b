import importlib
import pkgutil

import pytest

import detectors
from detectors.base import Detector, RowDetector
from detectors.errors import UnknownDetector
from detectors.registry import DETECTORS, find


@pytest.mark.parametrize("name", ["inne", "iNNE", "INNE", " inne "])
def test_names_are_found_in_any_case(name):
    assert find(name) is DETECTORS["inne"]


@pytest.mark.parametrize("name", ["subpca", "sub_pca", "sub-pca", "SubPCA", "Sub_PCA"])
def test_hyphens_and_underscores_count_for_nothing(name):
    assert find(name) is DETECTORS["subpca"]


def test_an_unknown_name_is_told_its_nearest():
    with pytest.raises(UnknownDetector, match=r"no detector 'iinne'; did you mean inne\?"):
        find("iinne")
    with pytest.raises(UnknownDetector, match="there are inne, "):
        find("zzz")


def test_every_detector_says_what_it_is():
    for name, detector in DETECTORS.items():
        assert name == detector.__name__.lower()
        assert detector.title.lower() == name
        assert detector.kind in ("multivariate", "univariate")
        assert "Examples\n" in detector.__doc__


def test_every_detector_of_the_package_is_in_the_list():
    for module in pkgutil.iter_modules(detectors.__path__):
        importlib.import_module(f"detectors.{module.name}")
    found, left = set(), [Detector]
    while left:
        left += (below := left.pop().__subclasses__())
        found |= {one for one in below if not one.__abstractmethods__ and one.__module__.startswith("detectors.")}
    assert RowDetector not in found
    assert {one.__name__.lower() for one in found} - {"scaled"} == set(DETECTORS)  # that one wraps another
