"""Without labels: how well scores rank anomalies, and how good verdicts are, beside PyOD's detectors.

    python benchmarks/unlabelled.py [--data FOLDER] [--sets cardio ...] [--seeds 5]

Ours is what ``train`` does when nobody says anything. The peers run in an environment of their own, with PyOD's
parameters but for 200 trees and 20 neighbours, which do better than its 100 and 5; k-NN and LOF get standardised rows.
Their verdicts are those of a contamination of 0.1, PyOD's default; scikit-learn's forest has a threshold of its own,
"auto". Rows above 20,000 are subsampled. Clean data are Gaussian; far outliers are uniform in a box three times as wide
as the range of the rows, and outside that range.
"""

import argparse
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import peers
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

DATA = Path(__file__).parents[2] / "shared" / "data" / "tabular"
MOST_ROWS = 20_000
PEERS = ("IsolationForest", "ECOD", "COPOD", "k-NN", "LOF")
RANDOM = ("iNNE", "IsolationForest")
DIMENSIONS = (2, 8, 32)
SHARES = (0.01, 0.05, 0.1)


def sets(folder: Path) -> list[str]:
    return sorted((path.stem for path in folder.glob("*.npz")), key=str.lower)


def read(folder: Path, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    with np.load(folder / f"{name}.npz") as held:
        rows, labels = np.ascontiguousarray(held["X"], np.float64), held["y"].astype(np.int64)
    if len(rows) > MOST_ROWS:
        chosen = np.sort(np.random.RandomState(0).permutation(len(rows))[:MOST_ROWS])
        rows, labels = np.ascontiguousarray(rows[chosen]), labels[chosen]
    return rows, labels


def ours(rows: NDArray[np.float64], seed: int, detector: str = "auto") -> tuple[NDArray[np.float64], float]:
    """Scores of training rows, and the threshold."""
    from training.features import Features
    from training.train import train

    features = Features(rows, tuple(f"f{column}" for column in range(rows.shape[1])))
    model = train(detector, features, seed=seed)
    return model.detector.anomaly_score(rows), model.threshold


def theirs(peer: str, data: str, name: str, seed: int) -> dict[str, list[float]]:
    """In the peer's environment: scores, and verdicts as 0 and 1."""
    rows, _ = read(Path(data), name)
    if peer in ("k-NN", "LOF"):
        spread = rows.std(axis=0)
        rows = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    made = _peer(peer, seed).fit(rows)
    return {"scores": made.decision_scores_.tolist(), "verdicts": made.labels_.tolist()}


def _peer(peer: str, seed: int) -> object:
    if peer == "IsolationForest":
        from pyod.models.iforest import IForest

        return IForest(n_estimators=200, random_state=seed)
    if peer == "ECOD":
        from pyod.models.ecod import ECOD

        return ECOD()
    if peer == "COPOD":
        from pyod.models.copod import COPOD

        return COPOD()
    if peer == "k-NN":
        from pyod.models.knn import KNN

        return KNN(n_neighbors=20)
    from pyod.models.lof import LOF

    return LOF(n_neighbors=20)


def ranking(
    ask: Callable[..., dict[str, list[float]]], data: Path, name: str, seeds: int
) -> Iterator[tuple[str, float, float, float, float]]:
    """Of each detector on one set: mean AUROC, average precision, F1 of its verdicts, share flagged."""
    rows, labels = read(data, name)
    for detector in ("iNNE", *PEERS):
        outcomes = []
        for seed in range(seeds if detector in RANDOM else 1):
            if detector == "iNNE":
                scores, threshold = ours(rows, seed)
                verdicts = scores > threshold
            else:
                answer = ask("theirs", peer=detector, data=str(data), name=name, seed=seed)
                scores, verdicts = np.array(answer["scores"]), np.array(answer["verdicts"]) == 1
            outcomes.append(
                (
                    roc_auc_score(labels, scores),
                    average_precision_score(labels, scores),
                    f1_score(labels, verdicts, zero_division=0.0),
                    verdicts.mean(),
                )
            )
        yield detector, *(float(value) for value in np.mean(outcomes, axis=0))


def forest_on_its_own(data: Path, name: str, seeds: int) -> tuple[float, float]:
    """F1 and share flagged of scikit-learn's forest with its own threshold."""
    from sklearn.ensemble import IsolationForest

    rows, labels = read(data, name)
    verdicts = [IsolationForest(n_estimators=200, random_state=seed).fit_predict(rows) == -1 for seed in range(seeds)]
    f1 = [f1_score(labels, verdict, zero_division=0.0) for verdict in verdicts]
    return float(np.mean(f1)), float(np.mean(verdicts))


def dbscan_on_its_own(data: Path, name: str) -> tuple[float, float]:
    rows, labels = read(data, name)
    scores, threshold = ours(rows, 0, "dbscan")
    return float(f1_score(labels, scores > threshold, zero_division=0.0)), float((scores > threshold).mean())


def false_alarms(seeds: int, n_rows: int = 2000) -> dict[int, tuple[float, float]]:
    """Of clean Gaussian rows, by dimension: mean and largest share flagged."""
    found = {}
    for d in DIMENSIONS:
        shares = []
        for seed in range(seeds):
            scores, threshold = ours(np.random.RandomState(seed).normal(size=(n_rows, d)), seed)
            shares.append((scores > threshold).mean())
        found[d] = (float(np.mean(shares)), float(np.max(shares)))
    return found


def far_found(seeds: int, n_rows: int = 2000) -> dict[tuple[int, float], float]:
    """Of far outliers, by dimension and share: mean recall."""
    found = {}
    for d in DIMENSIONS:
        for share in SHARES:
            recalls = []
            for seed in range(seeds):
                rows, n_far = _with_far(np.random.RandomState(seed), n_rows, d, share)
                scores, threshold = ours(rows, seed)
                recalls.append((scores[:n_far] > threshold).mean())
            found[d, share] = float(np.mean(recalls))
    return found


def _with_far(random: np.random.RandomState, n_rows: int, d: int, share: float) -> tuple[NDArray[np.float64], int]:
    rows = random.normal(size=(n_rows, d))
    low, high = rows.min(axis=0), rows.max(axis=0)
    far = random.uniform(2 * low - high, 2 * high - low, (2 * n_rows, d))
    far = far[((far < low) | (far > high)).any(axis=1)][: int(n_rows * share)]
    rows[: len(far)] = far
    return rows, len(far)


def demo(seeds: int) -> tuple[float, float, float]:
    """Of the published demo with its parameters: recall, mean and largest share of other rows flagged."""
    from training.defaults import demo_parameters
    from training.synthetic import clusters
    from training.train import train

    found, wrong = [], []
    for seed in range(seeds):
        features, labels = clusters(seed=seed)
        model = train("inne", features, parameters=demo_parameters("inne"), seed=seed)
        flagged = model.detector.predict(features.values) == -1
        found.append(flagged[labels == 1].mean())
        wrong.append(flagged[labels == 0].mean())
    return float(np.min(found)), float(np.mean(wrong)), float(np.max(wrong))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


Ranking = dict[str, dict[str, tuple[float, ...]]]


def measure(data: Path, names: Sequence[str], seeds: int) -> Ranking:
    """By set, then by detector: AUROC, average precision, F1, share flagged."""
    found: Ranking = {}
    with peers.Peer(peers.interpreter("inne"), __file__, "--child") as ask:
        for name in names:
            found[name] = {detector: values for detector, *values in ranking(ask, data, name, seeds)}
            found[name]["IsolationForest, auto"] = (np.nan, np.nan, *forest_on_its_own(data, name, seeds))
            found[name]["DBSCAN"] = (np.nan, np.nan, *dbscan_on_its_own(data, name))
            print(
                name, {detector: np.round(values, 3).tolist() for detector, values in found[name].items()}, flush=True
            )
    return found


def section(found: Ranking, seeds: int) -> str:
    detectors = ("iNNE", *PEERS)

    def means(detector: str, which: int) -> float:
        return float(np.mean([values[detector][which] for values in found.values()]))

    def cells(name: str, which: int, chosen: Sequence[str]) -> list[str]:
        return [name, *(f"{found[name][detector][which]:.3f}" for detector in chosen)]

    parts = []
    for which, title in enumerate(("AUROC", "Average precision")):
        rows = [cells(name, which, detectors) for name in found]
        rows.append(["**mean**", *(f"**{means(detector, which):.3f}**" for detector in detectors)])
        parts.append(f"### {title}\n\n" + table(["set", *detectors], rows))
    judged = ("iNNE", "DBSCAN", "IsolationForest, auto", *PEERS)
    verdicts = [[name, *(f"{found[name][d][2]:.2f} ({found[name][d][3]:.0%})" for d in judged)] for name in found]
    verdicts.append(["**mean**", *(f"**{means(detector, 2):.2f}**" for detector in judged)])
    parts.append(
        "### F1 of verdicts, and the share flagged\n\nThe last five flag a tenth of everything, whatever it is.\n\n"
        + table(["set", *judged], verdicts)
    )
    alarms, recall, shown = false_alarms(2 * seeds), far_found(seeds), demo(4 * seeds)
    rows = [
        [str(d), f"{alarms[d][0]:.2%}", f"{alarms[d][1]:.2%}", *(f"{recall[d, share]:.1%}" for share in SHARES)]
        for d in DIMENSIONS
    ]
    header = ["dimensions", "clean rows flagged, mean", "largest", *(f"of {share:.0%} far rows" for share in SHARES)]
    parts.append(
        '### What `contamination="auto"` flags of generated data\n\n' + table(header, rows) + "\n"
        f"Of the demo, with the parameters it was published with, on {4 * seeds} seeds: at least {shown[0]:.0%} of the "
        f"anomalies are flagged, and {shown[1]:.2%} of the other rows ({shown[2]:.2%} at most).\n"
    )
    return "\n".join(parts)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--sets", nargs="+")
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        peers.answer({"theirs": functools.partial(theirs)})
        return
    print(section(measure(given.data, given.sets or sets(given.data), given.seeds), given.seeds))


if __name__ == "__main__":
    main()
