"""Panels as plotly draws them."""

from html import escape
from typing import Any

import numpy as np

from training.charts.panels import BarPanel, Charts, ConfusionPanel, CurvePanel, MapPanel, Marks, Positions, TracePanel
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

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def _text(name: str) -> str:
    """A name as plotly shows it, which reads tags and entities in any text."""
    return escape(short(name), quote=False)


def _figure(height: int, title: str = "") -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    side = "right" if title else "left"
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 70, "r": 24, "t": 48 if title else 16, "b": 56},
        font={"family": FONT, "size": 13, "color": "#1f2933"},
        title={"text": title, "font": {"size": 16}, "x": 0, "xref": "paper", "xanchor": "left"} if title else None,
        # Away from the title, which is at the left, and from the buttons, which are at the top right.
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1.0 if title else 0.0, "xanchor": side},
        modebar={"bgcolor": "rgba(0, 0, 0, 0)", "color": "#9aa5b1", "activecolor": "#3e4c59"},
    )
    return figure


def traces_figure(charts: Charts) -> Any:
    """Draw all traces, below each other on one axis.

    Parameters
    ----------
    charts : Charts
        Whose.

    Returns
    -------
    plotly.graph_objects.Figure
        Of a height of its own.
    """
    from plotly.subplots import make_subplots

    count = len(charts.traces)
    weights = [1.0 if trace.joined and trace.threshold is None else 0.75 for trace in charts.traces]
    height = int(60 + 280 * sum(weights)) if count > 1 else 420
    figure = _figure(height)
    rows = make_subplots(
        rows=count, cols=1, shared_xaxes=True, row_heights=weights, vertical_spacing=0.14 / max(count, 2)
    )
    rows.update_layout(figure.layout)
    legend: set[str] = set()
    for number, trace in enumerate(charts.traces, start=1):
        for item in _trace_items(trace, legend):
            rows.add_trace(item, row=number, col=1)
        if trace.threshold is not None:
            rows.update_yaxes(range=[-0.03, 1.03], row=number, col=1)
        if trace.y_range is not None:
            rows.update_yaxes(range=list(trace.y_range), row=number, col=1)
        rows.update_yaxes(title_text=_text(trace.y_title), row=number, col=1)
    rows.update_xaxes(title_text=charts.x_title, row=count, col=1)
    if charts.x_title == "time":
        rows.update_xaxes(type="date")
    rows.update_xaxes(range=_range(charts))
    return rows


def _range(charts: Charts) -> list[float] | None:
    """From the first to the last row with a margin of 1 %, not of 6 as plotly has it for marks."""
    ends = [end for trace in charts.traces if len(trace.x) for end in _places(trace.x[[0, -1]]).tolist()]
    margin = (max(ends) - min(ends)) / 100 if ends else 0.0
    return [min(ends) - margin, max(ends) + margin] if margin else None


def _trace_items(trace: TracePanel, legend: set[str]) -> list[Any]:
    import plotly.graph_objects as go

    def once(name: str) -> dict[str, Any]:
        """One entry in the legend for what is in several panels; it shows and hides all of them."""
        first = name not in legend
        legend.add(name)
        return {"name": name, "legendgroup": name, "showlegend": first}

    x = _places(trace.x)
    items = []
    for number, side in enumerate(trace.band or trace.sides):
        line: dict[str, Any] = {"color": LIMIT, "width": 0 if trace.moving and trace.band else 1, "dash": "dot"}
        items.append(
            go.Scatter(
                x=x,
                y=_small(np.where(np.isfinite(side), side, np.nan)),
                mode="lines",
                line=line,
                fill="tonexty" if number else None,
                fillcolor=f"rgba(0, 158, 115, {shade(trace) if trace.moving else 0.1})",
                hoverinfo="skip",
                **once("limits"),
            )
        )
    name = _text(trace.title) if trace.joined else "normal row"
    look: dict[str, Any] = {
        "mode": "lines",
        "line": {"color": LINE if trace.threshold is None else SCORE_LINE, "width": 1.2},
    }
    if not trace.joined:
        look = {"mode": "markers", "marker": {"color": NORMAL, "size": 4, "opacity": 0.6}}
    items.append(go.Scatter(x=x, y=_small(trace.y), name=name, showlegend=not trace.joined, **look))
    if trace.threshold is not None:
        ends = x[[0, -1]] if len(x) else x
        line = {"color": THRESHOLD, "width": 1.2, "dash": "dash"}
        level = np.full(len(ends), trace.threshold)
        items.append(go.Scatter(x=ends, y=level, mode="lines", line=line, **once(f"threshold {trace.threshold:.3g}")))
    items += [_marks(mark, once) for mark in trace.marks if mark.total]
    return items


def _marks(mark: Marks, once: Any) -> Any:
    import plotly.graph_objects as go

    sign = SIGNS[mark.sort]
    size = 7 if len(mark.x) < 2_000 else 5
    return go.Scatter(
        x=_places(mark.x),
        y=_small(mark.y),
        mode="markers",
        marker={"symbol": sign.plotly, "color": sign.colour, "size": size + 3 * (not sign.filled)},
        **once(mark.sort),
    )


def _places(x: Positions) -> Any:
    """Times in milliseconds and row numbers, as numbers: plotly sends those in binary, dates as text."""
    if x.dtype.kind == "M":
        return x.astype("datetime64[ms]").astype(np.int64).astype(np.float64)
    return x.astype(np.int32 if x.size == 0 or x.max() < 2**31 else np.float64)


def _small(y: Any) -> Any:
    """Four bytes a number, which is more than a screen shows, unless they would not do."""
    known = y[np.isfinite(y)]
    if len(known) == 0:
        return np.asarray(y, dtype=np.float32)
    most = np.abs(known).max()
    # What is level, or one point, must fit what is drawn beside it.
    fine = most == 0.0 or (np.ptp(known) > 1e-4 * most and 1e-30 < most < 1e37)
    return np.asarray(y, dtype=np.float32 if fine else np.float64)


def panel_figure(panel: MapPanel | BarPanel | ConfusionPanel | CurvePanel) -> Any:
    """Draw a panel that stands beside others.

    Parameters
    ----------
    panel : MapPanel, BarPanel, ConfusionPanel or CurvePanel
        What to draw.

    Returns
    -------
    plotly.graph_objects.Figure
        Of a height of its own.
    """
    match panel:
        case MapPanel():
            return _map(panel)
        case BarPanel():
            return _bars(panel)
        case ConfusionPanel():
            return _confusion(panel)
        case CurvePanel():
            return _curve(panel)


def _map(panel: MapPanel) -> Any:
    import plotly.graph_objects as go

    figure = _figure(460, _text(panel.title))
    low, high = panel.scale
    marker = {
        "color": _small(panel.scores),
        "colorscale": SCORES,
        "cmin": low,
        "cmax": high,
        "size": 6 if len(panel.x) < 6_000 else 4,
        "opacity": 0.85,
        "colorbar": {
            "title": {"text": f"score (threshold {panel.threshold:.3g})", "side": "right"},
            "thickness": 14,
            "len": 1.0,
            "outlinewidth": 0,
        },
    }
    figure.add_trace(
        go.Scatter(
            x=_small(panel.x),
            y=_small(panel.y),
            mode="markers",
            marker=marker,
            showlegend=False,
            hovertemplate="%{x:.3g}, %{y:.3g}<br>score %{marker.color:.3f}<extra></extra>",
        )
    )
    for ring in rings(panel):
        look = {"symbol": "circle-open", "color": SIGNS[ring.sort].colour, "size": 10, "line": {"width": 1.5}}
        figure.add_trace(
            go.Scatter(
                x=_small(ring.x),
                y=_small(ring.y),
                mode="markers",
                marker=look,
                name=ring.sort,
                showlegend=True,
                hoverinfo="skip",
            )
        )
    figure.update_xaxes(title_text=_text(panel.x_title))
    figure.update_yaxes(title_text=_text(panel.y_title))
    return figure


def _bars(panel: BarPanel) -> Any:
    import plotly.graph_objects as go

    figure = _figure(460, _text(panel.title))
    names = [f"{_text(name)} " for name in panel.names]
    # Positions, not names: two that are cut to the same text are still two bars.
    where = np.arange(len(names))
    texts = [f"{share:.0%}" for share in panel.shares]
    figure.add_trace(
        go.Bar(
            x=panel.shares,
            y=where,
            orientation="h",
            marker={"color": [BAR] * panel.n_single + [NORMAL] * panel.has_rest},
            text=texts,
            textposition="outside",
            cliponaxis=False,
            hoverinfo="skip",
        )
    )
    figure.update_yaxes(tickvals=where, ticktext=names, autorange="reversed", automargin=True)
    figure.update_xaxes(title_text=panel.x_title, tickformat=".0%", rangemode="tozero")
    return figure


def _confusion(panel: ConfusionPanel) -> Any:
    import plotly.graph_objects as go

    figure = _figure(400, "Confusion matrix")
    counts = np.array([[panel.tn, panel.fp], [panel.fn, panel.tp]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure.add_trace(
        go.Heatmap(
            z=shares,
            x=[0, 1],
            y=[0, 1],
            colorscale="Blues",
            zmin=0,
            zmax=1,
            showscale=False,
            hoverinfo="skip",
            xgap=3,
            ygap=3,
        )
    )
    for row in range(2):
        for column in range(2):
            text = f"<b>{counts[row, column]:,}</b><br>{shares[row, column]:.1%}"
            colour = "white" if shares[row, column] > 0.5 else "#1f2933"
            figure.add_annotation(x=column, y=row, text=text, showarrow=False, font={"size": 17, "color": colour})
    figure.update_xaxes(title_text="verdict", tickvals=[0, 1], ticktext=["normal", "anomaly"], showgrid=False)
    figure.update_yaxes(
        title_text="label",
        tickvals=[0, 1],
        ticktext=["normal", "anomaly"],
        autorange="reversed",
        showgrid=False,
        tickangle=-90,
    )
    return figure


def _curve(panel: CurvePanel) -> Any:
    import plotly.graph_objects as go

    figure = _figure(400, panel.title)
    figure.add_trace(
        go.Scatter(
            x=[x for x, _ in panel.chance],
            y=[y for _, y in panel.chance],
            mode="lines",
            line={"color": CHANCE, "dash": "dash", "width": 1.2},
            name="a guess",
            hoverinfo="skip",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=_small(panel.x), y=_small(panel.y), mode="lines", line={"color": LINE, "width": 2}, showlegend=False
        )
    )
    marker = {"color": SIGNS["anomaly"].colour, "size": 11}
    figure.add_trace(
        go.Scatter(x=[panel.at[0]], y=[panel.at[1]], mode="markers", marker=marker, name="threshold in force")
    )
    figure.update_xaxes(title_text=panel.x_title, range=[-0.02, 1.02])
    figure.update_yaxes(title_text=panel.y_title, range=[-0.02, 1.05])
    figure.update_layout(legend={"y": 0.02, "x": 0.98, "bgcolor": "rgba(255,255,255,0.8)", "orientation": "v"})
    return figure
