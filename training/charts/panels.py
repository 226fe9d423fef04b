"""What is drawn, apart from how: both renderers, HTML and PNG, take the same panels."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[Any]
"""Row numbers (int64), counted from 1, or times (datetime64)."""

_ROOM = 0.3
"""Of the values' range, what is shown of limits above and below."""

_EDGE = 0.05
"""Of what is shown, what is left free above and below."""

_LEAST_SPAN = 0.1
"""Of a scale of colours: scores that differ by less look alike."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Points of one sort: ``"anomaly"``, or with labels ``"found"``, ``"false alarm"``, ``"missed"``.

    Attributes
    ----------
    sort : str
        Which it is.
    total : int
        How many there are, drawn or not.
    x, y : ndarray
        Where those that are drawn are.
    """

    sort: str
    total: int
    x: Positions
    y: Floats


@dataclass(frozen=True, eq=False)
class TracePanel:
    """Values along rows or time.

    Attributes
    ----------
    title, y_title : str
        What is shown, and its unit.
    x, y : ndarray
        In the order of `x`; NaN in `y` interrupts a line.
    joined : bool
        Whether the points are those of a line.
    low, high : ndarray or None
        The limits at each point; infinite where there is none.
    threshold : float or None
        A level across the panel.
    marks : tuple of Marks
        On top.
    """

    title: str
    y_title: str
    x: Positions
    y: Floats
    joined: bool
    low: Floats | None = None
    high: Floats | None = None
    threshold: float | None = None
    marks: tuple[Marks, ...] = ()

    @property
    def moving(self) -> bool:
        """Whether the limits follow the values, so that lines along them would hide these."""
        sides = [side[np.isfinite(side)] for side in (self.low, self.high) if side is not None]
        return any(len(side) > 1 and float(side.min()) < float(side.max()) for side in sides)

    @property
    def y_range(self) -> tuple[float, float] | None:
        """What to show where it is not all: moving limits may be so far from the values that these would look flat.

        A band that is open on one side reaches the edge of the panel, which then has to be known.
        """
        known = self.y[np.isfinite(self.y)]
        if len(known) == 0 or not self.moving:
            return None
        low, high = float(known.min()), float(known.max())
        room = _ROOM * (high - low) if high / 2 - low / 2 < 1e300 else np.inf
        if not 0.0 < room < np.inf:
            return None
        sides = np.concatenate([side[np.isfinite(side)] for side in (self.low, self.high) if side is not None])
        least, most = float(sides.min()), float(sides.max())
        if least < low - room or most > high + room:
            return low - room, high + room
        if len(self.sides) == 2:
            return None
        low, high = min(low, least), max(high, most)
        return low - _EDGE * (high - low), high + _EDGE * (high - low)

    @property
    def sides(self) -> tuple[Floats, ...]:
        """The limits that are somewhere."""
        return tuple(side for side in (self.low, self.high) if side is not None and np.isfinite(side).any())

    @property
    def band(self) -> tuple[Floats, Floats] | None:
        """What lies within the limits, of which one may be the edge of the panel; None without a panel to fill."""
        if len(self.sides) == 2:
            return self.sides[0], self.sides[1]
        if len(self.sides) == 0 or (shown := self.y_range) is None:
            return None
        (side,) = self.sides
        bottom, top = (np.where(np.isfinite(side), edge, np.nan) for edge in shown)
        return (bottom, side) if side is self.high else (side, top)


@dataclass(frozen=True, eq=False)
class MapPanel:
    """Rows in two dimensions, coloured by score.

    Attributes
    ----------
    title, x_title, y_title : str
        What is shown.
    x, y, scores : ndarray of shape (n,)
        The highest scores last, so that they are drawn on top.
    threshold : float
        Of the scores.
    rings : tuple of Marks
        Around those that are marked.
    """

    title: str
    x_title: str
    y_title: str
    x: Floats
    y: Floats
    scores: Floats
    threshold: float
    rings: tuple[Marks, ...]

    @property
    def scale(self) -> tuple[float, float]:
        """From which to which score colours differ: what there is and the threshold, on round numbers."""
        low, high = min(float(self.scores.min()), self.threshold), max(float(self.scores.max()), self.threshold)
        step = 10.0 ** np.floor(np.log10(max(high - low, _LEAST_SPAN))) / 2
        low, high = np.floor(low / step) * step, np.ceil(high / step) * step
        if low == high:
            low, high = low - step, high + step
        return max(0.0, float(low)), min(1.0, float(high))


@dataclass(frozen=True, eq=False)
class BarPanel:
    """Shares by name, the largest first.

    Attributes
    ----------
    title, x_title : str
        What is shown.
    names : tuple of str
        Of the bars.
    shares : ndarray of shape (n,)
        Their lengths.
    has_rest : bool
        Whether the last bar is all that is not shown one by one.
    """

    title: str
    x_title: str
    names: tuple[str, ...]
    shares: Floats
    has_rest: bool = False

    @property
    def n_single(self) -> int:
        """How many bars are of one name each."""
        return len(self.names) - self.has_rest


@dataclass(frozen=True)
class ConfusionPanel:
    """How verdicts and labels agree."""

    tn: int
    fp: int
    fn: int
    tp: int


@dataclass(frozen=True, eq=False)
class CurvePanel:
    """What other thresholds would give.

    Attributes
    ----------
    title, x_title, y_title : str
        What is shown.
    x, y : ndarray
        The curve.
    at : tuple of float
        The point of the threshold in force.
    chance : tuple of pairs
        Both ends of the line that a guess would reach.
    """

    title: str
    x_title: str
    y_title: str
    x: Floats
    y: Floats
    at: tuple[float, float]
    chance: tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Charts:
    """One page.

    Attributes
    ----------
    title : str
        Its heading.
    facts : tuple of str
        Below the heading, in one line.
    notes : tuple of str
        What is not drawn, or drawn in another way than one would think.
    x_title : str
        ``"row"`` or ``"time"``: what the traces share.
    traces : tuple of TracePanel
        Below each other, on one axis.
    maps : tuple
        Beside each other.
    judged : tuple
        What labels tell, beside each other; empty without labels.
    """

    title: str
    facts: tuple[str, ...]
    notes: tuple[str, ...]
    x_title: str
    traces: tuple[TracePanel, ...]
    maps: tuple[MapPanel | BarPanel, ...] = ()
    judged: tuple[ConfusionPanel | CurvePanel, ...] = field(default=())
