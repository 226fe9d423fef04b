"""Charts as one picture."""

import warnings
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from training.charts.panels import BarPanel, Charts, ConfusionPanel, CurvePanel, MapPanel, Positions, TracePanel
from training.charts.style import (
    BAR,
    CHANCE,
    LIMIT,
    LINE,
    NORMAL,
    SCORE_LINE,
    SCORES,
    SIGNS,
    THRESHOLD,
    rings,
    shade,
    short,
)

WIDTH = 14.0
"""Of the picture, in inches of `DPI` pixels."""

DPI = 110
_OTHER_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans",
    "Noto Sans Arabic",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
    "Microsoft YaHei",
)
_STYLE: Any = {
    "font.size": 11,
    "text.parse_math": False,  # a column may be called "a$b$"
    "text.color": "#1f2933",
    "axes.labelcolor": "#1f2933",
    "axes.edgecolor": "#9aa5b1",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.formatter.useoffset": False,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "path.simplify": True,
    "agg.path.chunksize": 20_000,
}


def write_png(charts: Charts, stream: BinaryIO) -> None:
    """Draw a picture.

    Parameters
    ----------
    charts : Charts
        What to draw.
    stream : binary file
        Where to.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    heights = _heights(charts)
    with mpl.rc_context({**_STYLE, "font.family": _fonts()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)  # then it is a box
        head = 0.75 + 0.24 * len(charts.notes)
        height = sum(heights) + head
        layout = ConstrainedLayoutEngine(rect=(0.005, 0.0, 0.99, 1.0 - head / height), hspace=0.04)
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout=layout)
        FigureCanvasAgg(figure)
        _head(figure, charts)
        rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        _traces(rows[0], charts)
        for row, panels in zip(rows[1:], filter(None, (charts.maps, charts.judged)), strict=True):
            _side_by_side(row, panels)
        figure.savefig(stream, format="png")


def _fonts() -> list[str]:
    """The font of matplotlib, and what there is for letters that it lacks."""
    from matplotlib.font_manager import fontManager

    there = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(font for font in _OTHER_FONTS if font in there)]


def _heights(charts: Charts) -> list[float]:
    traces = sum(_height(trace) for trace in charts.traces) + 0.5
    return [traces, *([4.6] if charts.maps else []), *([4.2] if charts.judged else [])]


def _height(trace: TracePanel) -> float:
    if not trace.joined:
        return 4.0
    return 2.0 if trace.threshold is not None else 2.8


def _head(figure: Any, charts: Charts) -> None:
    inch = 1.0 / figure.get_figheight()
    figure.text(0.012, 1.0 - 0.12 * inch, short_title(charts.title), fontsize=17, fontweight="bold", va="top")
    figure.text(0.012, 1.0 - 0.46 * inch, "   ·   ".join(charts.facts), fontsize=11, va="top", color="#3e4c59")
    for number, note in enumerate(charts.notes):
        where = 1.0 - (0.72 + 0.24 * number) * inch
        figure.text(0.012, where, note, fontsize=9.5, va="top", color="#616e7c")


def short_title(title: str) -> str:
    """A heading that fits the picture.

    Parameters
    ----------
    title : str
        Any text.

    Returns
    -------
    str
        On one line, of 100 characters at most.
    """
    line = " ".join(title.split())
    return line if len(line) <= 100 else f"{line[:99]}…"


def _traces(figure: Any, charts: Charts) -> None:
    axes = figure.subplots(
        len(charts.traces), 1, sharex=True, squeeze=False, height_ratios=[_height(trace) for trace in charts.traces]
    )[:, 0]
    for ax, trace in zip(axes, charts.traces, strict=True):
        _trace(ax, trace)
    _time_axis(axes[-1]) if charts.x_title == "time" else _row_axis(axes[-1])
    axes[-1].set_xlabel(charts.x_title)
    entries = {}
    for ax in axes:
        entries.update({label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)})
    legend = axes[0].legend(
        entries.values(), entries.keys(), loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=6, borderaxespad=0.2
    )
    for handle in legend.legend_handles:
        if hasattr(handle, "set_markersize"):  # a filled band has none, and keeps its shade
            handle.set_markersize(7)
            handle.set_alpha(1.0)


def _time_axis(ax: Any) -> None:
    from matplotlib import dates

    of: Any = dates  # without types
    locator = of.AutoDateLocator()
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(of.ConciseDateFormatter(locator))


def _row_axis(ax: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda row, _: f"{row:,.0f}"))


def _trace(ax: Any, trace: TracePanel) -> None:
    x = _places(trace.x)
    _limits(ax, trace, x)
    if trace.joined:
        colour = LINE if trace.threshold is None else SCORE_LINE
        ax.plot(x, trace.y, color=colour, linewidth=0.9 if len(x) < 2_000 else 0.6, zorder=2)
    else:
        ax.plot(x, trace.y, ".", color=NORMAL, markersize=5, alpha=0.6, markeredgewidth=0, label="normal row", zorder=2)
    if trace.threshold is not None:
        label = f"threshold {trace.threshold:.3g}"
        ax.axhline(trace.threshold, color=THRESHOLD, linewidth=1.1, linestyle="--", label=label, zorder=3)
        ax.set_ylim(-0.03, 1.03)
    for mark in trace.marks:
        if mark.total:
            sign = SIGNS[mark.sort]
            size = (5.5 if len(mark.x) < 500 else 3.5) + 2.5 * (not sign.filled)
            face = sign.colour if sign.filled else "none"
            ax.plot(
                _places(mark.x), mark.y, sign.matplotlib, color=sign.colour, markerfacecolor=face, markersize=size,
                markeredgewidth=1.2 if sign.matplotlib == "x" or not sign.filled else 0, label=mark.sort, zorder=4,
            )  # fmt: skip
    ax.set_ylabel(short(trace.y_title))
    ax.margins(x=0.01)
    if trace.y_range is not None:
        ax.set_ylim(trace.y_range)
    low, high = ax.get_ylim()
    if 10_000 <= max(abs(low), abs(high)) < 1e7 and high - low > 10:
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _limits(ax: Any, trace: TracePanel, x: Any) -> None:
    band = trace.band
    if band is not None:
        label, alpha = ("limits", shade(trace)) if trace.moving else ("_", 0.08)
        ax.fill_between(x, *band, color=LIMIT, alpha=alpha, linewidth=0, zorder=0, label=label)
        if trace.moving:  # lines along the values would hide them
            return
    for number, side in enumerate(trace.sides):
        finite = np.where(np.isfinite(side), side, np.nan)
        ax.plot(x, finite, color=LIMIT, linewidth=1.0, linestyle=":", label="_" if number else "limits", zorder=1)


def _places(x: Positions) -> Any:
    return x.astype("datetime64[us]") if x.dtype.kind == "M" else x


def _side_by_side(figure: Any, panels: Sequence[MapPanel | BarPanel | ConfusionPanel | CurvePanel]) -> None:
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, panel in zip(axes, panels, strict=True):
        match panel:
            case MapPanel():
                _map(figure, ax, panel)
            case BarPanel():
                _bars(ax, panel)
            case ConfusionPanel():
                _confusion(ax, panel)
            case CurvePanel():
                _curve(ax, panel)


def _map(figure: Any, ax: Any, panel: MapPanel) -> None:
    low, high = panel.scale
    points = ax.scatter(
        panel.x, panel.y, c=panel.scores, cmap=SCORES.lower(), vmin=low, vmax=high, linewidths=0, zorder=2,
        s=14 if len(panel.x) < 6_000 else 6, alpha=0.85,
    )  # fmt: skip
    for ring in rings(panel):
        ax.scatter(
            ring.x, ring.y, s=42, facecolors="none", label=ring.sort,
            edgecolors=SIGNS[ring.sort].colour, linewidths=1.1, zorder=3,
        )  # fmt: skip
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, ncols=3)
    bar = figure.colorbar(points, ax=ax, label="score", pad=0.01, aspect=30)
    bar.outline.set_visible(False)
    for colour, width in ((THRESHOLD, 3.5), ("white", 1.5)):  # on every colour of the scale
        bar.ax.axhline(panel.threshold, color=colour, linewidth=width)
    ax.set_title(panel.title)
    ax.set_xlabel(short(panel.x_title))
    ax.set_ylabel(short(panel.y_title))


def _bars(ax: Any, panel: BarPanel) -> None:
    where = np.arange(len(panel.names))
    bars = ax.barh(where, panel.shares, color=[BAR] * panel.n_single + [NORMAL] * panel.has_rest, height=0.7)
    ax.bar_label(bars, [f"{share:.0%}" for share in panel.shares], padding=4, fontsize=10)
    ax.set_yticks(where, [short(name) for name in panel.names])
    ax.invert_yaxis()
    ax.set_xlim(0, max(float(panel.shares.max()) * 1.12, 0.01))
    ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.set_title(panel.title)
    ax.set_xlabel(panel.x_title)


def _confusion(ax: Any, panel: ConfusionPanel) -> None:
    counts = np.array([[panel.tn, panel.fp], [panel.fn, panel.tp]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row in range(2):
        for column in range(2):
            colour = "white" if shares[row, column] > 0.5 else "#1f2933"
            ax.text(column, row - 0.06, f"{counts[row, column]:,}", ha="center", va="center", fontsize=16, color=colour)
            ax.text(
                column, row + 0.14, f"{shares[row, column]:.1%}", ha="center", va="center", fontsize=10, color=colour
            )
    ax.set_xticks([0, 1], ["normal", "anomaly"])
    ax.set_yticks([0, 1], ["normal", "anomaly"], rotation=90, va="center")
    ax.set_xticks([0.5], minor=True)
    ax.set_yticks([0.5], minor=True)
    ax.grid(visible=False)
    ax.grid(which="minor", color="white", linewidth=3)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    ax.set_title("Confusion matrix")
    ax.set_xlabel("verdict")
    ax.set_ylabel("label")


def _curve(ax: Any, panel: CurvePanel) -> None:
    ax.plot(*zip(*panel.chance, strict=True), color=CHANCE, linestyle="--", linewidth=1.1, label="a guess")
    ax.plot(panel.x, panel.y, color=LINE, linewidth=1.8)
    ax.plot(*panel.at, "o", color=SIGNS["anomaly"].colour, markersize=8, label="threshold in force", zorder=3)
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.05)
    ax.set_title(panel.title)
    ax.set_xlabel(panel.x_title)
    ax.set_ylabel(panel.y_title)
    ax.legend(loc="lower right", frameon=True, facecolor="white", edgecolor="none", framealpha=0.85)
