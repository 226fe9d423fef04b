"""Charts of what a detector found: one HTML page with pan and zoom, one PNG.

`series_charts` and `row_charts` choose what to draw, few enough points that a page of a million rows stays under 6 MB;
`write_html` and `write_png` draw it. They need the extra ``charts``.
"""

from training.charts.html import write_html
from training.charts.panels import Charts
from training.charts.png import write_png
from training.charts.rows import row_charts
from training.charts.series import series_charts

__all__ = ["Charts", "row_charts", "series_charts", "write_html", "write_png"]
