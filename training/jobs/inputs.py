"""The files a job reads: features, labels, models."""

import numpy as np
import numpy.typing as npt

from training.artifacts import MAX_MODEL_BYTES, parse_model
from training.data import read_features, read_labels
from training.errors import FileMissing, ModelDamaged, ModelNotFound
from training.features import Features
from training.jobs.requests import Job
from training.model import Model
from training.tables import TimeColumn

_CHUNK_BYTES = 1 << 20
_MAX_SIDECAR_BYTES = 1 << 20


def features_of(job: Job, key: str, *, series: bool, time: TimeColumn = "auto") -> Features:
    """Read a feature file.

    Parameters
    ----------
    job : Job
        Its storage and limits.
    key : str
        The file.
    series : bool
        Whether values may be missing.
    time : {"auto", "required"}
        Whether the first column must hold times.

    Returns
    -------
    Features
        Its numbers.
    """
    with job.storage.open(key) as stream:
        return read_features(
            stream, name=key, time=time, missing=series, max_rows=job.max_rows, max_columns=job.max_columns
        )


def labels_of(job: Job, key: str, features: Features) -> npt.NDArray[np.int64]:
    """Read a label file.

    Parameters
    ----------
    job : Job
        Its storage and limits.
    key : str
        The file.
    features : Features
        Whose rows are labelled.

    Returns
    -------
    ndarray of int64
        1 = anomaly, as many as rows.
    """
    with job.storage.open(key) as stream:
        return read_labels(stream, name=key, n_rows=len(features), rows_of=features.source, max_rows=job.max_rows)


def model_of(job: Job, name: str) -> Model:
    """Read a model file that may have been tampered with.

    Parameters
    ----------
    job : Job
        Its storage and signing key.
    name : str
        The file, with or without ``.pkl``.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ModelNotFound
        If there is no such file.
    ModelDamaged, ModelUntrusted
        If it is not what was written. Nothing in it has been run.
    """
    try:
        key = job.storage.resolve(name, (".pkl",))
    except FileMissing as error:
        raise ModelNotFound(str(error)) from error
    try:
        sidecar = _read(job, f"{key}.json", _MAX_SIDECAR_BYTES)
    except FileMissing as error:
        raise ModelDamaged(f"{key} has no sidecar {key}.json beside it, so nothing vouches for it") from error
    return parse_model(_read(job, key, MAX_MODEL_BYTES), sidecar, job.signing_key, key)


def _read(job: Job, key: str, max_bytes: int) -> bytes:
    data = bytearray()
    with job.storage.open(key) as stream:
        while part := stream.read(
            _CHUNK_BYTES
        ):  # a file that is asked for all at once takes room for all that may come
            data += part
            if len(data) > max_bytes:
                raise ModelDamaged(f"{key} has more than {max_bytes} bytes")
    return bytes(data)
