"""With labels: the F1 of what the search finds on rows it has not seen, and the F1 it said to expect.

    python benchmarks/labelled.py [--data FOLDER] [--sets cardio ...] [--repeats 2] [--few 100]

Half of the rows are for training, the other half for testing, then the other way round, at random with equal shares of
anomalies; with few labels the search sees 100 rows of the half for training, at least two of them anomalies. The
isolation forest (scikit-learn, 200 trees) gets no labels but their share of anomalies. IQR and Quantile judge each
column by itself; detectors that look at the order of rows are left out, as these sets have none.

An interval is for the F1 on very many other rows. The half that tests is a sample, too: of an estimate with an error as
large as its own, an interval that is right holds 83 %. So it is also counted how often the two agree: whether no
difference lies within the interval that both together give for their difference (method of variance estimates recovery:
Zou and Donner, Statistics in Medicine 27, 2008), which should be in 95 %.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from unlabelled import DATA, read, sets, table

from training.expectation import Expected
from training.features import Features
from training.search import search

TRUST = """\
The interval is for the F1 on very many other rows. The half that tests is a sample with an error of its own: of an
estimate that errs as much, an interval that is right holds 83 %. The last column is how often both agree within their
errors.

"""
FAMILIES = ("inne", "dbscan", "iqr", "quantile")
IntArray = NDArray[np.int64]


@dataclass
class Outcome:
    """One search: F1 on unseen rows, and what it said to expect."""

    f1: float
    expected: float
    low: float
    high: float
    seconds: float
    tested: Expected | None = None

    @property
    def inside(self) -> bool:
        """Whether the interval holds the F1 of the half that tests."""
        return self.low <= self.f1 <= self.high

    @property
    def agrees(self) -> bool:
        """Whether the two differ by no more than both may err."""
        assert self.tested is not None
        difference = self.expected - self.f1
        low = difference - math.hypot(self.expected - self.low, self.tested.high - self.f1)
        return low <= 0.0 <= difference + math.hypot(self.high - self.expected, self.f1 - self.tested.low)


def halves(labels: IntArray, seed: int) -> tuple[IntArray, IntArray]:
    first, second = train_test_split(np.arange(len(labels)), test_size=0.5, stratify=labels, random_state=seed)
    return first, second


def both_ways(parts: tuple[IntArray, IntArray]) -> list[tuple[IntArray, IntArray]]:
    return [parts, parts[::-1]]


def some(labels: IntArray, among: IntArray, n: int, seed: int) -> IntArray:
    random = np.random.RandomState(seed)
    chosen = random.permutation(among)[:n]
    if labels[chosen].sum() >= 2:
        return chosen
    anomalies, others = (random.permutation(among[labels[among] == label]) for label in (1, 0))
    return np.concatenate([anomalies[:2], others[: n - 2]])


def by_search(
    names: str | Sequence[str], rows: NDArray[np.float64], labels: IntArray, seen: IntArray, unseen: IntArray
) -> Outcome:
    features = Features(np.ascontiguousarray(rows[seen]), tuple(f"f{column}" for column in range(rows.shape[1])))
    found = search(names, features, labels[seen])
    flagged, wanted = found.detector.predict(rows[unseen]) == -1, labels[unseen] == 1
    tested = Expected.of(int((flagged & wanted).sum()), int(flagged.sum()), int(wanted.sum()))
    if found.expected is None:
        return Outcome(tested.f1, np.nan, np.nan, np.nan, found.seconds)
    return Outcome(tested.f1, found.expected.f1, found.expected.low, found.expected.high, found.seconds, tested)


def by_forest(rows: NDArray[np.float64], labels: IntArray, seen: IntArray, unseen: IntArray) -> float:
    share = min(float(labels[seen].mean()), 0.5)
    forest = IsolationForest(n_estimators=200, contamination=share, random_state=0).fit(rows[seen])
    return float(f1_score(labels[unseen], forest.predict(rows[unseen]) == -1))


Found = dict[str, dict[str, list[Outcome]]]


def measure(data: Path, names: Sequence[str], repeats: int, few: int) -> tuple[Found, Found, dict[str, float]]:
    """By set and family, with many labels; by set, with few, of all families together; the forest's F1."""
    with_many: Found = {}
    with_few: Found = {}
    forest: dict[str, float] = {}
    for name in names:
        rows, labels = read(data, name)
        split = [parts for seed in range(repeats) for parts in both_ways(halves(labels, seed))]
        forest[name] = float(np.mean([by_forest(rows, labels, *parts) for parts in split]))
        with_many[name] = {
            shown: [by_search(searched, rows, labels, *parts) for parts in split]
            for shown, searched in (*zip(FAMILIES, FAMILIES, strict=True), ("auto", FAMILIES))
        }
        with_few[name] = {
            "auto": [
                by_search(FAMILIES, rows, labels, some(labels, seen, few, seed), unseen)
                for seed, (seen, unseen) in enumerate(split)
            ]
        }
        for told in (with_many, with_few):
            print(name, {key: np.round([mean(value, "f1"), mean(value, "expected"), mean(value, "seconds")], 3).tolist()
                         for key, value in told[name].items()}, flush=True)  # fmt: skip
    return with_many, with_few, forest


def mean(outcomes: Sequence[Outcome], what: str) -> float:
    return float(np.mean([getattr(outcome, what) for outcome in outcomes]))


def f1_table(data: Path, with_many: Found, forest: dict[str, float]) -> str:
    shown = (*FAMILIES, "auto")
    rows = []
    for name, found in with_many.items():
        values, labels = read(data, name)
        shape = f"{values.shape[0]:,}, {values.shape[1]}, {labels.sum()}"
        cells = (f"{mean(found[key], 'f1'):.2f} ({_or_nothing(mean(found[key], 'expected'))})" for key in shown)
        rows.append([name, shape, f"{forest[name]:.2f}", *cells])
    return table(["set", "rows, features, anomalies", "IsolationForest", *(f"`{key}`" for key in shown)], rows)


def _or_nothing(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def trust_table(with_many: Found, with_few: Found, few: int) -> str:
    rows, total = [], {}
    for title, told in ((f"{few} labels", with_few), ("half of the set", with_many)):
        differences = []
        for name, found in told.items():
            outcomes = found["auto"]
            expected, f1 = mean(outcomes, "expected"), mean(outcomes, "f1")
            interval = f"{mean(outcomes, 'low'):.2f} to {mean(outcomes, 'high'):.2f}"
            rows.append(
                [title, name, f"{expected:.3f}", interval, f"{f1:.3f}", f"{expected - f1:+.3f}", *_shares(outcomes)]
            )
            differences.append(expected - f1)
        total[title] = float(np.mean(differences))
        everything = [one for found in told.values() for one in found["auto"]]
        shares = (f"**{share}**" for share in _shares(everything))
        rows.append([title, "**mean**", "", "", "", f"**{total[title]:+.3f}**", *shares])
    header = ["labels", "set", "F1 told", "interval told", "F1 on other rows", "difference", "inside", "agree"]
    return table(header, rows)


def _shares(outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """How often the interval held the F1 of the other half, and how often the two agreed."""
    return (
        f"{np.mean([one.inside for one in outcomes]):.0%}",
        f"{np.mean([one.agrees for one in outcomes]):.0%}",
    )


def section(data: Path, names: Sequence[str], repeats: int, few: int) -> str:
    with_many, with_few, forest = measure(data, names, repeats, few)
    seconds = ", ".join(f"{name} {mean(found['auto'], 'seconds'):.0f}" for name, found in with_many.items())
    return (
        "### F1 on the other half, and in brackets what the search said to expect\n\n"
        + f1_table(data, with_many, forest)
        + f"\nSeconds of a search of all families over half of a set: {seconds}.\n\n"
        "### How far the F1 that is told can be trusted\n\n" + TRUST + trust_table(with_many, with_few, few)
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--sets", nargs="+")
    arguments.add_argument("--repeats", type=int, default=2)
    arguments.add_argument("--few", type=int, default=100)
    given = arguments.parse_args()
    print(section(given.data, given.sets or sets(given.data), given.repeats, given.few))


if __name__ == "__main__":
    main()
