"""Every detector by name: the one list that command line, API, images and tests read."""

import difflib

from detectors.base import Detector
from detectors.dbscan import DBSCAN
from detectors.errors import UnknownDetector
from detectors.inne import INNE
from detectors.iqr import IQR
from detectors.persist import Persist
from detectors.poly import POLY
from detectors.quantile import Quantile
from detectors.sub_pca import SubPCA

_DETECTORS: tuple[type[Detector], ...] = (INNE, DBSCAN, IQR, Quantile, Persist, POLY, SubPCA)

DETECTORS: dict[str, type[Detector]] = {detector.__name__.lower(): detector for detector in _DETECTORS}
"""Classes by their name in lower case."""


def find(name: str) -> type[Detector]:
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
