"""VUS-PR as TSB-AD computes it, by sorting once instead of going through the series for every threshold.

J. Paparrizos et al.: Volume Under the Surface, VLDB 2022. Labels are widened by a slope on both sides, for every width
up to a window; the area under precision and recall is averaged over the widths. ``benchmarks/sequences.py`` checks that
both give the same.
"""

from itertools import pairwise

import numpy as np

THRESHOLDS = 250


def stretches(labels):
    """First and last rows of the stretches of ones."""
    changes = np.diff(np.concatenate([[0], labels, [0]]))
    return list(zip(np.flatnonzero(changes == 1), np.flatnonzero(changes == -1) - 1, strict=True))


def widened(found, width, n_rows):
    """Stretches with half a width on both sides, those that meet being one."""
    first, joined = max(found[0][0] - width // 2, 0), []
    for (_, last), (following, _) in pairwise(found):
        if last + width // 2 < following - width // 2:
            joined.append((first, last + width // 2))
            first = following - width // 2
    return [*joined, (first, min(found[-1][1] + width // 2, n_rows - 1))]


def sloped(labels, found, width):
    """Labels with a slope of half a width on both sides of each stretch."""
    soft = labels.astype(float)
    for first, last in found if width else ():
        after = np.arange(last + 1, min(last + width // 2 + 1, len(labels)))
        before = np.arange(max(first - width // 2, 0), first)
        soft[after] += np.sqrt(1 - (after - last) / width)
        soft[before] += np.sqrt(1 - (first - before) / width)
    return np.minimum(soft, 1.0)


def vus_pr(labels, scores, window):
    """Volume under the surface of precision, recall and width, at least one label being 1."""
    found, n_rows = stretches(labels), len(labels)
    order = np.argsort(-scores, kind="stable")
    thresholds = scores[order][np.linspace(0, n_rows - 1, THRESHOLDS).astype(int)]
    predicted = np.searchsorted(-scores[order], -thresholds, side="right")
    near = np.zeros(n_rows, dtype=bool)
    for first, last in widened(found, window, n_rows):
        near[first : last + 1] = True
    areas = []
    for width in range(window + 1):
        soft = np.where(near, sloped(labels, found, width), 0.0)
        hits = np.concatenate([[0.0], np.cumsum(soft[order])])[predicted]
        beside = np.concatenate([[0.0], np.cumsum(np.where(labels == 1, 0.0, soft)[order])])[predicted]
        highest = np.array([scores[first : last + 1].max() for first, last in widened(found, width, n_rows)])
        touched = (highest >= thresholds[:, None]).mean(axis=1)
        recall = np.minimum(hits / (labels.sum() + beside / 2), 1.0) * touched
        areas.append(np.dot(np.diff(np.concatenate([[0.0], recall])), hits / predicted))
    return float(np.mean(areas))
