"""The files that the first programs of this API name, so that they run against a new home as they stand.

====================================================  ==================================================
testprojectid1/testfileid1/cogen_feature, ..anomaly   rows of a plant, and which of them were faults
testprojectid1/testfileid1/anomaly_detection/         two DBSCAN models of them
testprojectid2/testfileid1/sample_data                a series with spikes and a level shift
====================================================  ==================================================
"""

import io
import logging

import numpy as np
import pandas as pd

from training.artifacts import dump_model
from training.errors import FileExists
from training.features import Features
from training.storage import Storage
from training.synthetic import clusters, series
from training.times import formatted
from training.train import train

log = logging.getLogger(__name__)

PLANT = "testprojectid1/testfileid1"
SERIES = "testprojectid2/testfileid1"
MODELS = (1727161197, 1728555947)
SEED = 7


def make(storage: Storage) -> None:
    """Put the examples where they are not; what people have put there stays."""
    features, labels = clusters(n_per_cluster=400, n_anomalies=12, anomaly_centre=4.0, anomaly_spread=2.5, seed=SEED)
    shuffled = np.random.RandomState(SEED).permutation(len(features))
    plant = Features(features.values[shuffled], features.names, source="the example")
    faults = labels[shuffled]
    _put(storage, f"{PLANT}/cogen_feature.csv", _csv(pd.DataFrame(plant.values, columns=list(plant.names))))
    _put(storage, f"{PLANT}/cogen_anomaly.csv", _csv(pd.DataFrame({"anomaly": faults})))
    data, sidecar = dump_model(train("dbscan", plant, faults, seed=SEED))
    for second in MODELS:
        path = f"{PLANT}/anomaly_detection/{second}_dbscan_model.pkl"
        if not storage.exists(path):
            _put(storage, f"{path}.json", sidecar, overwrite=True)  # a start that was cut short may have left one
            _put(storage, path, data)
    sample, _ = series(seed=SEED)
    assert sample.times is not None  # noqa: S101  # a series has them
    columns = {"Time": formatted(sample.times, sample.time_unit)}
    columns |= {name: sample.values[:, index] for index, name in enumerate(sample.names)}
    _put(storage, f"{SERIES}/sample_data.csv", _csv(pd.DataFrame(columns)))


def _csv(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_csv(buffer, index=False, float_format="%.6g")
    return buffer.getvalue()


def _put(storage: Storage, key: str, content: bytes, *, overwrite: bool = False) -> None:
    try:
        with storage.write(key, overwrite=overwrite) as file:
            file.write(content)
    except FileExists:
        log.info("%s is there already", key)
