"""Every detector by name: the one list that command line, API, images and tests read.

A detector's module is imported when somebody asks for that detector: a server of one needs it and not the others.
"""

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from detectors.errors import UnknownDetector

if TYPE_CHECKING:
    from detectors.base import Detector

_MODULES = {
    "INNE": "detectors.inne",
    "DBSCAN": "detectors.dbscan",
    "IQR": "detectors.iqr",
    "Quantile": "detectors.quantile",
    "Persist": "detectors.persist",
    "POLY": "detectors.poly",
    "SubPCA": "detectors.sub_pca",
}

PLACES: Final = {name.lower(): (module, name) for name, module in _MODULES.items()}
"""Module and class of each detector, by the class's name in lower case."""


class _Detectors(Mapping[str, "type[Detector]"]):
    """The classes at `PLACES`."""

    def __getitem__(self, name: str) -> "type[Detector]":
        module, class_name = PLACES[name]
        found: type[Detector] = getattr(importlib.import_module(module), class_name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in PLACES

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)


DETECTORS: Final = _Detectors()
"""Classes by their name in lower case, in the order in which people are told of them."""


def find(name: str) -> "type[Detector]":
    """The detector of that name.

    Parameters
    ----------
    name : str
        In any case, with or without hyphens and underscores: ``"iNNE"``, ``"inne"``, ``"i-nne"``.

    Returns
    -------
    type
        A subclass of `Detector`.

    Raises
    ------
    UnknownDetector
        Names the nearest ones.

    Examples
    --------
    >>> find("iNNE").title
    'iNNE'
    """
    plain = name.strip().lower().replace("_", "").replace("-", "")
    detector = DETECTORS.get(plain)
    if detector is None:
        near = difflib.get_close_matches(plain, DETECTORS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(DETECTORS)}"
        raise UnknownDetector(f"there is no detector {name!r}{hint}")
    return detector
