"""Record what ADTK says of the series in `cases.py`: for Python 3.8, in an environment of `requirements.txt` alone.

    python tests/detectors/adtk/record.py

Each run of a detector on a series is a byte a row: 0 normal, 1 anomaly, 2 no verdict, 3 could not be trained.
"""

from pathlib import Path

import numpy as np


def verdicts(adtk_detectors, name, parameters, training, whole):
    """ADTK's verdict on each row of a series."""
    detector = adtk_detectors[name](**parameters)
    from adtk.data import validate_series

    try:
        detector.fit(validate_series(training, check_freq=False))
    except RuntimeError:
        return np.full(len(whole), 3, dtype=np.uint8)
    found = detector.detect(validate_series(whole, check_freq=False)).loc[whole.index]
    return np.where(found.isna(), 2, found.fillna(False).astype(bool)).astype(np.uint8)


def main():
    """Write `verdicts.npz`."""
    import cases
    import pandas as pd
    from adtk.detector import InterQuartileRangeAD, PersistAD, QuantileAD

    detectors = {"IQR": InterQuartileRangeAD, "Quantile": QuantileAD, "Persist": PersistAD}
    rows = []
    for seed in range(cases.N_SERIES):
        values, stamps, n_training = cases.series(seed)
        whole = pd.Series(values, index=pd.DatetimeIndex(stamps.astype("datetime64[ns]")))
        for name, parameters in cases.parameters(seed):
            rows.append(verdicts(detectors, name, parameters, whole.iloc[:n_training], whole))
    packed = np.concatenate(rows)
    np.savez_compressed(
        Path(__file__).with_name("verdicts.npz"),
        low=np.packbits(packed & 1),
        high=np.packbits(packed >> 1),
        n_verdicts=len(packed),
    )


if __name__ == "__main__":
    main()
