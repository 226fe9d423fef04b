"""Charts as one HTML page that needs nothing else: plotly.js is in it, and it asks no network for anything."""

import itertools
from html import escape
from typing import Any, BinaryIO

from training.charts.figures import FONT, panel_figure, traces_figure
from training.charts.panels import Charts

_BUTTONS = ["toImage", "zoom2d", "pan2d", "resetScale2d"]
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_CSS = f"""
body {{
  margin: 0 auto; padding: 20px 24px 40px; max-width: 1400px; font: 15px/1.5 {FONT};
  color: #1f2933; background: #fff;
}}
h1 {{ margin: 0 0 4px; font-size: 24px; font-weight: 600; overflow-wrap: anywhere; }}
.facts {{ margin: 0; color: #3e4c59; }}
.facts span + span::before {{ content: "·"; margin: 0 8px; color: #9aa5b1; }}
.notes {{ margin: 8px 0 0; padding: 0 0 0 18px; color: #616e7c; font-size: 13px; }}
.hint {{ margin: 8px 0 0; color: #616e7c; font-size: 13px; }}
.row {{ display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 20px; margin-top: 12px; }}
@media (max-width: 900px) {{ .row {{ grid-template-columns: minmax(0, 1fr); }} }}
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{css}</style>
<script>{script}</script>
</head>
<body>
<h1>{title}</h1>
<p class="facts">{facts}</p>
{notes}<p class="hint">Drag to zoom in, drag with Shift held to pan, double-click to see everything again.</p>
{figures}
</body>
</html>
"""


def write_html(charts: Charts, stream: BinaryIO) -> None:
    """Write a page with pan and zoom.

    Parameters
    ----------
    charts : Charts
        What to draw.
    stream : binary file
        Where to.
    """
    from plotly.offline import get_plotlyjs

    rows = [
        [traces_figure(charts)],
        *([panel_figure(panel) for panel in panels] for panels in (charts.maps, charts.judged) if panels),
    ]
    numbers = itertools.count()
    divs = "\n".join(
        f'<div class="row" style="--columns: {len(row)}">{"".join(_div(figure, next(numbers)) for figure in row)}</div>'
        for row in rows
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in charts.notes)
    page = _PAGE.format(
        title=escape(charts.title),
        policy=_POLICY,
        css=_CSS,
        facts="".join(f"<span>{escape(fact)}</span>" for fact in charts.facts),
        notes=f'<ul class="notes">{notes}</ul>\n' if notes else "",
        script=get_plotlyjs(),
        figures=divs,
    )
    stream.write(page.encode())


def _div(figure: Any, number: int) -> str:
    options = {"displaylogo": False, "responsive": True, "modeBarButtons": [_BUTTONS]}
    height = f"{figure.layout.height}px"
    html = figure.to_html(
        options, full_html=False, include_plotlyjs=False, div_id=f"chart-{number}", default_height=height
    )
    return f"<div>{html}</div>"
