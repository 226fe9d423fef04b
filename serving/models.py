"""The Seldon model classes: one for each detector, on one base.

They run under our own microservice and, unchanged, under ``seldon-core-microservice``; neither is imported here.
"""

import os
from typing import Final

from serving.detector_model import DetectorModel
from serving.errors import ComponentError
from serving.model_uri import model_file, signature
from serving.series_model import SeriesModel
from training.artifacts import load_model


class INNE(DetectorModel):
    """Isolation by nearest-neighbour ensembles."""

    detector = "inne"


class DBSCAN(DetectorModel):
    """Density-based clustering: a row far from every core row is noise."""

    detector = "dbscan"


class IQR(SeriesModel):
    """Values far outside the quartiles."""

    detector = "iqr"


class Quantile(SeriesModel):
    """Values beyond quantiles."""

    detector = "quantile"


class Persist(SeriesModel):
    """Sudden changes."""

    detector = "persist"


class POLY(SeriesModel):
    """Windows that a local polynomial does not describe."""

    detector = "poly"


class SubPCA(SeriesModel):
    """Windows that principal directions do not account for."""

    detector = "subpca"


MODELS: Final[dict[str, type[DetectorModel]]] = {
    served.detector: served for served in (INNE, DBSCAN, IQR, Quantile, Persist, POLY, SubPCA)
}
"""Classes by the registry's name of their detector."""


def serve_file(path: str | os.PathLike[str]) -> DetectorModel:
    """The class for a model file, loaded with it.

    Parameters
    ----------
    path : path
        A model file, a folder that holds one, or a ``file://`` address.

    Returns
    -------
    DetectorModel
        Ready to predict.

    Raises
    ------
    InlierError
        If the file is missing, damaged, not trusted, or of a detector that has no class here.
    """
    uri = os.fspath(path)
    before = signature(uri)
    file = model_file(uri)
    model = load_model(file)
    if model.detector_name not in MODELS:
        raise ComponentError(f"{file} is a model of {model.detector_name}, which has no class in serving/models.py")
    served = MODELS[model.detector_name].of(model)
    served.model_uri, served.signature = uri, before
    return served
