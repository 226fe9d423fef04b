"""Colours and signs of both renderers: the palette of Okabe and Ito, which colour-blind people tell apart."""

from dataclasses import dataclass

from training.charts.panels import MapPanel, Marks, TracePanel

LINE = "#0072B2"
SCORE_LINE = "#6F9BBD"
LIMIT = "#009E73"
NORMAL = "#8C96A0"
THRESHOLD = "#444444"
CHANCE = "#9AA0A6"
BAR = "#0072B2"
SCORES = "Viridis"
"""The name of the colour scale, in lower case for matplotlib."""


@dataclass(frozen=True)
class Sign:
    """How a sort of marks looks.

    Attributes
    ----------
    colour : str
        As ``#rrggbb``.
    plotly, matplotlib : str
        What both call the shape.
    filled : bool
        Whether it is more than an outline.
    """

    colour: str
    plotly: str
    matplotlib: str
    filled: bool = True


SIGNS = {
    "anomaly": Sign("#D55E00", "circle", "o"),
    "found": Sign("#D55E00", "circle", "o"),
    "false alarm": Sign("#CC79A7", "x", "x"),
    "missed": Sign("#000000", "circle-open", "o", filled=False),
}
LONGEST_NAME = 40
RINGED = 500
"""Marked rows of a projection that get a ring each; more would hide what they surround."""


def rings(panel: MapPanel) -> list[Marks]:
    """The rings of a map, unless they are too many."""
    return [ring for ring in panel.rings if ring.total] if sum(ring.total for ring in panel.rings) <= RINGED else []


def shade(trace: TracePanel) -> float:
    """How dark the band between moving limits is: lighter where it may fill the whole panel."""
    return 0.1 if trace.y_range is not None and len(trace.sides) == 2 else 0.22


def short(name: str) -> str:
    """A name as charts show it.

    Parameters
    ----------
    name : str
        Of a column, or anything else a user chose.

    Returns
    -------
    str
        On one line, of 40 characters at most.
    """
    line = " ".join(name.split())
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"
