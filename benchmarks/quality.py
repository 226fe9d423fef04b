"""How good the detectors of rows are, on every set of a folder: writes docs/quality.md and docs/quality.svg.

    python benchmarks/quality.py [--data FOLDER] [--sets cardio ...] [--seeds 5] [--repeats 2] [--out docs]

The parts are scripts of their own: unlabelled.py, explanations.py, labelled.py. They say what is measured, and how. The
exit status is 1 if a bar is missed.
"""

import argparse
import sys
from pathlib import Path

import explanations
import labelled
import numpy as np
import unlabelled

DOCS = Path(__file__).parents[1] / "docs"
MARKERS = "Do^vsX"
COLOURS = ("#d1495b", "#30638e", "#8ab17d", "#e9a03b", "#6c757d", "#adb5bd")
HEAD = """# How good the detectors are

Written by `python benchmarks/quality.py --data FOLDER`, a folder with `.npz` files of
[ADBench](https://github.com/Minqi824/ADBench), called by the sets' names without their numbers (`breastw.npz`); their
rows are in no order. How a table is measured is said at the top of the script that is named with it.

![AUROC and average precision of each detector on each set](quality.svg)

## Without labels

`benchmarks/unlabelled.py`, {seeds} seeds. iNNE is what `inlier train --detector inne` does by default: a mix of sample
sizes, each sample with three quarters of the features, graded scores, features scaled by their mean absolute deviation.
Of some 350 recipes (sample sizes, shares of features, mixes of them, scalings) those that were best on one half of the
sets were no better than others on the other half; this one is simple, and on every set as good as the plain mix that it
replaces, or better.
"""
WITH_LABELS = """
## With labels

`benchmarks/labelled.py`, {repeats} random splits of each set, each half in turn. `auto` searches all families.
"""
WHY = """
## Which feature it was

`benchmarks/explanations.py`: how often the corrupted feature of a row is named first.

"""


def picture(found: unlabelled.Ranking, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    detectors = ("iNNE", *unlabelled.PEERS)
    mpl.rcParams["svg.hashsalt"] = "quality"
    figure, both = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
    names = [*found, "mean"]
    for axes, which, title in zip(both, (0, 1), ("AUROC", "Average precision"), strict=True):
        for place, detector in enumerate(detectors):
            values = [values[detector][which] for values in found.values()]
            heights = np.arange(len(names)) + (place - 2.5) * 0.1
            axes.plot(
                [*values, float(np.mean(values))],
                heights,
                MARKERS[place],
                color=COLOURS[place],
                markersize=6.5 if place == 0 else 5,
                label=detector,
                zorder=2 + (place == 0),
            )
        axes.set_yticks(range(len(names)), names)
        axes.axhline(len(found) - 0.5, color="0.8", linewidth=0.8)
        axes.grid(axis="x", color="0.9")
        axes.set_title(title, fontsize=11)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(left=False)
    both[0].invert_yaxis()  # the other one's, too
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def missed(found: unlabelled.Ranking) -> list[str]:
    """Whether iNNE's means are above the isolation forest's."""
    below = []
    for which, title in enumerate(("AUROC", "average precision")):
        ours, theirs = (
            np.mean([values[name][which] for values in found.values()]) for name in ("iNNE", "IsolationForest")
        )
        if ours <= theirs:
            below.append(f"mean {title} {ours:.3f} is not above IsolationForest's {theirs:.3f}")
    return below


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=unlabelled.DATA)
    arguments.add_argument("--sets", nargs="+")
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--repeats", type=int, default=2)
    arguments.add_argument("--out", type=Path, default=DOCS)
    given = arguments.parse_args()
    names = given.sets or unlabelled.sets(given.data)
    found = unlabelled.measure(given.data, names, given.seeds)
    text = HEAD.format(seeds=given.seeds) + "\n" + unlabelled.section(found, given.seeds)
    text += WHY + explanations.section(given.seeds)
    text += WITH_LABELS.format(repeats=given.repeats) + "\n"
    text += labelled.section(given.data, names, given.repeats, few=100)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "quality.md").write_text(text, encoding="utf-8")
    picture(found, given.out / "quality.svg")
    for bar in missed(found):
        print(f"MISSED: {bar}")
    return int(bool(missed(found)))


if __name__ == "__main__":
    sys.exit(main())
