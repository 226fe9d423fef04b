"""What the search is worth on rows it has not seen: held-out F1 on public sets, beside an isolation forest.

    python benchmarks/quality.py [--data FOLDER] [--sets cardio ...] [--families inne ...] [--study]

Five folds: the search sees rows and labels of four, the model it returns judges the fifth; F1 is of all verdicts
together. The isolation forest (scikit-learn, 200 trees) gets no labels but the true share of anomalies. IQR and
Quantile judge each column by itself; Persist needs an order of rows that these sets do not have. ``--study`` also takes
the candidate of best cross-validated instead of best in-sample F1.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

from training.features import Features
from training.search import fitted, search

DATA = Path(__file__).parents[2] / "shared" / "data" / "tabular"
SETS = ("breastw", "cardio", "mammography", "pendigits", "thyroid")
FAMILIES = ("inne", "dbscan", "iqr", "quantile")


def halves(rows: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield from StratifiedKFold(5, shuffle=True, random_state=0).split(rows, labels)


def by_search(name: str, rows: np.ndarray, labels: np.ndarray, study: bool) -> tuple[float, float, float]:
    """Held-out F1 of the best candidate, what cross-validation said to expect, and F1 of the study's choice."""
    verdicts, others, expected = np.zeros(len(labels)), np.zeros(len(labels)), []
    for seen, unseen in halves(rows, labels):
        features = Features(np.ascontiguousarray(rows[seen]), tuple(f"f{k}" for k in range(rows.shape[1])))
        found = search(name, features, labels[seen])
        verdicts[unseen] = found.detector.predict(rows[unseen]) == -1
        expected.append(np.nan if found.best.f1_cross_validated is None else found.best.f1_cross_validated)
        if study:
            other = max(found.candidates, key=lambda candidate: candidate.f1_cross_validated or 0.0)
            others[unseen] = fitted(other, features).predict(rows[unseen]) == -1
    return f1_score(labels, verdicts), float(np.mean(expected)), f1_score(labels, others)


def by_forest(rows: np.ndarray, labels: np.ndarray) -> float:
    verdicts = np.zeros(len(labels))
    for seen, unseen in halves(rows, labels):
        forest = IsolationForest(n_estimators=200, contamination=float(labels[seen].mean()), random_state=0)
        verdicts[unseen] = forest.fit(rows[seen]).predict(rows[unseen]) == -1
    return f1_score(labels, verdicts)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--sets", nargs="+", default=SETS)
    arguments.add_argument("--families", nargs="+", default=FAMILIES)
    arguments.add_argument("--study", action="store_true")
    given = arguments.parse_args()
    print("| set | rows, features, anomalies | isolation forest | " + " | ".join(given.families) + " |")
    print("| --- | --- | --- |" + " --- |" * len(given.families))
    for name in given.sets:
        held = np.load(given.data / f"{name}.npz")
        rows, labels = held["X"].astype(np.float64), held["y"].astype(np.int64)
        cells = [f"{by_forest(rows, labels):.2f}"]
        start = time.perf_counter()
        for family in given.families:
            f1, expected, other = by_search(family, rows, labels, given.study)
            told = [] if np.isnan(expected) else [f"expected {expected:.2f}"]
            told += [f"by cross-validation {other:.2f}"] if given.study else []
            cells.append(f"{f1:.2f}" + (f" ({', '.join(told)})" if told else ""))
        shape = f"{rows.shape[0]:,}, {rows.shape[1]}, {labels.sum()}"
        print(f"| {name} | {shape} | {' | '.join(cells)} |", flush=True)
        print(f"<!-- {name}: {time.perf_counter() - start:.0f} s -->", flush=True)


if __name__ == "__main__":
    main()
