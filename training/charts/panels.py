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
        """What to show where moving limits are so far from the values that these would look flat; None for all."""
        known = self.y[np.isfinite(self.y)]
        if len(known) == 0 or not self.moving:
            return None
        low, high = float(known.min()), float(known.max())
        room = _ROOM * (high - low) if high / 2 - low / 2 < 1e300 else np.inf
        far = [side[np.isfinite(side)] for side in (self.low, self.high) if side is not None]
        if all((side >= low - room).all() and (side <= high + room).all() for side in far) or not 0.0 < room < np.inf:
            return None
        return low - room, high + room


@dataclass(frozen=True, eq=False)
class MapPanel:
    """Rows in two dimensions, coloured by score.

    Attributes
    ----------
    title, x_title, y_title : str
        What is shown.
    x, y, scores : ndarray of shape (n,)
        The highest scores last, so that they are drawn on top.
    flagged : ndarray of bool
        Which of them are anomalies.
    """

    title: str
    x_title: str
    y_title: str
    x: Floats
    y: Floats
    scores: Floats
    flagged: npt.NDArray[np.bool_]


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
