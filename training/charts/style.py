"""Colours and signs of both renderers: the palette of Okabe and Ito, which colour-blind people tell apart."""

from dataclasses import dataclass

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
"""Anomalies of a projection that get a ring each; more would hide what they surround."""


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
