"""What the contract suite runs every detector on. A detector that is not mentioned is tested with its defaults."""

from typing import Any, NamedTuple

import numpy as np

from detectors.base import Detector
from detectors.registry import DETECTORS

PARAMETERS: dict[str, tuple[dict[str, Any], ...]] = {
    "inne": (
        {"random_state": 0},
        {"random_state": 0, "scoring": "graded"},
        {
            "random_state": 0,
            "scoring": "graded",
            "n_estimators": 50,
            "max_samples": (2, 4, 8, 16, 32),
            "max_features": "sqrt",
        },
        {"random_state": 0, "max_features": 1, "contamination": 0.1},
    ),
    "dbscan": ({"contamination": 0.05}, {"contamination": 0.1, "metric": "chebyshev"}),
    # Limits that small data crosses; scikit-learn's checks want something to be flagged.
    "iqr": ({"c": 0.5},),
    "quantile": ({"low": 0.1, "high": 0.9},),
    "persist": ({"c": 0.3},),
    "poly": tuple({"window": 4, "span": 2, "c": 0.3, "align": align} for align in ("center", "end")),
    "subpca": tuple({"window": 4, "n_components": 2, "c": 0.3, "align": align} for align in ("center", "end")),
}


class Case(NamedTuple):
    """A detector's name and parameters."""

    name: str
    parameters: dict[str, Any]

    def make(self) -> Detector:
        return DETECTORS[self.name](**self.parameters)

    def fitted(self, n_features: int = 3) -> Detector:
        return self.make().fit(training_rows(n_features))


CASES = [Case(name, parameters) for name in DETECTORS for parameters in PARAMETERS.get(name, ({},))]
BY_ROW = [case for case in CASES if DETECTORS[case.name].kind == "multivariate"]
BY_SERIES = [case for case in CASES if DETECTORS[case.name].kind == "univariate"]


def case_id(case: Case) -> str:
    shown = {name: value for name, value in case.parameters.items() if name != "random_state"}
    return f"{case.name}({', '.join(f'{name}={value}' for name, value in shown.items())})"


def training_rows(n_features: int = 3, n_rows: int = 400) -> np.ndarray:
    """Clusters, copies of a row, and a few rows far away."""
    random = np.random.RandomState(5)
    rows = random.normal(size=(n_rows, n_features)) + 6.0 * random.randint(0, 2, (n_rows, 1))
    rows[10:20] = rows[10]
    rows[::97] *= 8.0
    return rows


def other_rows(n_features: int = 3, n_rows: int = 150) -> np.ndarray:
    """Rows to judge: like the training rows, some of those themselves, some far, one very far."""
    random = np.random.RandomState(6)
    rows = random.normal(size=(n_rows, n_features)) * 3.0
    rows[:20] = training_rows(n_features)[:20]
    rows[-1] = 1e12
    return rows
