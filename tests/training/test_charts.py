"""Charts: what is drawn, what is said to be left out, and what a hostile name cannot do."""

import base64
import html
import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("plotly", reason="the extra charts")

from detectors.registry import find
from training.charts import Charts, row_charts, series_charts, write_html, write_png
from training.charts.panels import BarPanel, ConfusionPanel, CurvePanel, MapPanel, Marks, TracePanel
from training.charts.reduce import along, gaps, strongest, visible
from training.charts.rows import project
from training.charts.style import SIGNS

RNG = np.random.default_rng(0)
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a$b$ \\frac{",
    "x" * 500,
    "温度\n\t<b>",
]


def as_html(charts: Charts) -> str:
    write_html(charts, stream := io.BytesIO())
    return stream.getvalue().decode()


def as_png(charts: Charts) -> bytes:
    write_png(charts, stream := io.BytesIO())
    return stream.getvalue()


def drawn(page: str) -> list[dict[str, Any]]:
    """Every trace of every figure of a page, arrays decoded."""
    found = []
    for start in re.finditer(r'Plotly\.newPlot\(\s*"chart-\d+",\s*', page):
        traces, _ = json.JSONDecoder().raw_decode(page, start.end())
        found += [{key: decoded(value) for key, value in trace.items()} for trace in traces]
    return found


def decoded(value: Any) -> Any:
    if isinstance(value, dict) and "bdata" in value:
        return np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
    return value


def rows(n: int = 300, d: int = 3, **changes: Any) -> Charts:
    values = np.random.default_rng(1).normal(size=(n, d))
    scores = np.clip(np.abs(values[:, 0]) / 4, 0, 1)
    given: dict[str, Any] = {
        "title": "rows.csv",
        "names": [f"f{number}" for number in range(d)],
        "values": values,
        "scores": scores,
        "threshold": 0.5,
        "contributions": np.full(d, 1 / d),
    }
    return row_charts(**(given | changes))


def series(n: int = 300, d: int = 1, **changes: Any) -> Charts:
    values = np.random.default_rng(2).normal(size=(n, d))
    column_scores = np.clip(np.abs(values) / 5, 0, 1)
    given: dict[str, Any] = {
        "title": "series.csv",
        "names": [f"s{number}" for number in range(d)],
        "values": values,
        "scores": column_scores.max(axis=1),
        "column_scores": column_scores,
        "threshold": 0.5,
        "low": np.full((n, d), -2.5),
        "high": np.full((n, d), 2.5),
    }
    return series_charts(**(given | changes))


class TestReduce:
    def test_spikes_are_kept(self) -> None:
        y = np.zeros(1_000_000)
        y[[12_345, 777_777]] = 1.0, -1.0
        chosen = visible(None, y, 2_000)
        assert len(chosen) <= 2_000
        assert {12_345, 777_777} <= set(chosen.tolist())
        assert (np.diff(chosen) > 0).all()

    def test_uneven_times(self) -> None:
        y = RNG.normal(size=5_000)
        times = np.datetime64("2020-01-01", "ns") + np.sort(RNG.integers(0, 10**15, 5_000)).astype("timedelta64[ns]")
        chosen = visible(times, y, 500)
        assert len(chosen) <= 500
        assert (np.diff(chosen) > 0).all()

    @given(arrays(np.float64, st.integers(0, 200), elements=st.just(np.nan) | st.floats(-9, 9)), st.integers(10, 50))
    def test_missing_values_are_never_chosen(self, y: np.ndarray, count: int) -> None:
        chosen = visible(None, y, count)
        assert np.isfinite(y[chosen]).all()
        assert len(chosen) == min(len(chosen), max(count, 0))
        assert (gaps(y, chosen) < max(len(chosen), 1)).all()

    def test_a_line_is_interrupted_where_most_is_missing(self) -> None:
        y = np.arange(10.0)
        y[[2, 5, 6, 7]] = np.nan
        chosen = np.array([0, 1, 3, 4, 8, 9])
        assert gaps(y, chosen).tolist() == [4]

    def test_of_too_many_the_strongest_of_each_stretch_are_kept(self) -> None:
        flagged = RNG.random(10_000) < 0.3
        scores = RNG.random(10_000)
        chosen = strongest(flagged, scores, 100)
        assert len(chosen) == 100
        for number, row in enumerate(chosen):
            stretch = slice(number * 100, number * 100 + 100)
            assert scores[row] == scores[stretch][flagged[stretch]].max()
        assert strongest(flagged, scores, 10_000).tolist() == np.flatnonzero(flagged).tolist()

    def test_a_curve_keeps_its_ends(self) -> None:
        x = np.sort(RNG.random(100_000))
        chosen = along(x, x**2, 1_000)
        assert chosen[0] == 0
        assert chosen[-1] == 99_999
        assert 500 < len(chosen) <= 1_000


class TestRows:
    def test_what_is_on_the_page(self) -> None:
        charts = rows()
        (trace,) = charts.traces
        assert isinstance(trace, TracePanel)
        assert [mark.sort for mark in trace.marks] == ["anomaly"]
        assert len(trace.x) + trace.marks[0].total == 300
        projection, bars = charts.maps
        assert isinstance(projection, MapPanel)
        assert isinstance(bars, BarPanel)
        assert len(projection.x) == 300
        assert (np.diff(projection.scores) >= 0).all()
        assert charts.judged == ()
        assert charts.notes == ()

    def test_labels_add_what_they_tell(self) -> None:
        charts = rows(labels=np.array([1, 0, 0] * 100))
        matrix, precision, roc = charts.judged
        assert isinstance(matrix, ConfusionPanel)
        assert isinstance(precision, CurvePanel)
        assert isinstance(roc, CurvePanel)
        assert matrix.tn + matrix.fp + matrix.fn + matrix.tp == 300
        totals = {mark.sort: mark.total for mark in charts.traces[0].marks}
        assert totals == {"found": matrix.tp, "false alarm": matrix.fp, "missed": matrix.fn}
        assert roc.at == (matrix.fp / 200, matrix.tp / 100)
        assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)

    @pytest.mark.parametrize("labels", [None, np.array([1, 0, 0] * 100)])
    def test_the_same_rows_have_the_same_name_everywhere(self, labels: np.ndarray | None) -> None:
        charts = rows(labels=labels)
        (trace,), (projection, _) = charts.traces, charts.maps
        assert isinstance(projection, MapPanel)
        assert [(ring.sort, ring.total, len(ring.x)) for ring in projection.rings] == [
            (mark.sort, mark.total, len(mark.x)) for mark in trace.marks
        ]
        sorts = [mark.sort for mark in trace.marks if mark.total]
        assert [item["name"] for item in drawn(as_html(charts)) if item.get("name") in SIGNS] == sorts + sorts

    def test_every_ring_has_its_row(self) -> None:
        n = 20_000
        labels = (np.arange(n) % 100 == 0).astype(np.int64)
        scores = np.where(np.arange(n) % 200 == 0, 0.9, 0.1)
        projection = rows(n, labels=labels, scores=scores).maps[0]
        assert isinstance(projection, MapPanel)
        assert {ring.sort: len(ring.x) for ring in projection.rings} == {"false alarm": 0, "missed": 100, "found": 100}
        places = set(zip(projection.x.tolist(), projection.y.tolist(), strict=True))
        for ring in projection.rings:
            assert set(zip(ring.x.tolist(), ring.y.tolist(), strict=True)) <= places

    @pytest.mark.parametrize(
        ("scores", "threshold", "scale"),
        [
            ([0.373, 0.881], 0.624, (0.35, 0.9)),
            ([0.0, 0.976], 0.5, (0.0, 1.0)),
            ([0.42, 0.487], 0.5, (0.4, 0.5)),  # the threshold is on it, too
            ([0.5, 0.5], 0.5, (0.45, 0.55)),
            ([0.0, 0.0], 0.0, (0.0, 0.05)),
            ([1.0, 1.0], 1.0, (0.95, 1.0)),
        ],
    )
    def test_colours_span_what_there_is(
        self, scores: list[float], threshold: float, scale: tuple[float, float]
    ) -> None:
        charts = rows(2, scores=np.array(scores), threshold=threshold)
        panel = charts.maps[0]
        assert isinstance(panel, MapPanel)
        assert panel.scale == pytest.approx(scale)
        (marker,) = [item["marker"] for item in drawn(as_html(charts)) if "colorbar" in item.get("marker", {})]
        assert (marker["cmin"], marker["cmax"]) == panel.scale
        assert f"threshold {threshold:.3g}" in marker["colorbar"]["title"]["text"]
        assert as_png(charts)

    @pytest.mark.parametrize("label", [0, 1])
    def test_labels_that_are_all_the_same_have_no_curves(self, label: int) -> None:
        charts = rows(labels=np.full(300, label))
        assert len(charts.judged) == 1
        assert as_png(charts)
        assert as_html(charts)

    @pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 5), (2, 2), (50, 1), (20, 2_000)])
    def test_odd_shapes(self, n: int, d: int) -> None:
        charts = rows(n, d)
        assert as_png(charts)
        assert as_html(charts)

    @pytest.mark.parametrize("scores", [np.zeros(300), np.ones(300)])
    def test_nothing_or_everything_is_flagged(self, scores: np.ndarray) -> None:
        charts = rows(scores=scores)
        assert as_png(charts)
        assert as_html(charts)

    def test_rows_without_any_spread(self) -> None:
        charts = rows(values=np.ones((300, 3)))
        assert (charts.maps[0].x == 0).all()  # type: ignore[union-attr]
        assert as_png(charts)

    def test_the_projection_is_of_the_directions_that_vary_most(self) -> None:
        along_line = RNG.normal(size=2_000)
        values = np.column_stack([along_line * 1e200, along_line * 1e-200, RNG.normal(size=2_000)])
        values[:, 1] += 1e-203 * RNG.normal(size=2_000)
        places, shares = project(values, np.arange(2_000))
        assert shares[0] == pytest.approx(2 / 3, abs=0.02)
        assert abs(np.corrcoef(places[:, 0], along_line)[0, 1]) > 0.99

    def test_many_features_are_summed_up(self) -> None:
        (_, bars) = rows(d=40, contributions=np.arange(40.0) / np.arange(40).sum()).maps
        assert isinstance(bars, BarPanel)
        assert bars.names[0] == "f39"
        assert bars.names[-1] == "28 others"
        assert bars.shares.sum() == pytest.approx(1)
        assert bars.has_rest
        assert as_png(rows(d=40, contributions=np.arange(40.0) / np.arange(40).sum()))


class TestSeries:
    def test_what_is_on_the_page(self) -> None:
        charts = series()
        line, score = charts.traces
        assert (line.title, score.title) == ("s0", "Anomaly score")
        assert line.low is not None
        assert line.joined
        assert score.threshold == 0.5
        assert line.marks[0].total == score.marks[0].total > 0
        assert charts.x_title == "row"
        assert charts.maps == ()

    def test_rows_are_put_in_time_order(self) -> None:
        order = RNG.permutation(300)
        times = np.datetime64("2024-01-01", "ns") + order * np.timedelta64(3600, "s")
        values = order[:, None].astype(float)
        charts = series(values=values, times=times)
        assert charts.x_title == "time"
        assert (np.diff(charts.traces[0].x) > np.timedelta64(0, "ns")).all()
        assert (np.diff(charts.traces[0].y) > 0).all()

    def test_missing_values_and_open_limits(self) -> None:
        values = RNG.normal(size=(300, 1))
        values[100:200] = np.nan
        scores = np.where(np.isnan(values), np.nan, 0.6)
        charts = series(values=values, column_scores=scores, scores=scores[:, 0], low=np.full((300, 1), -np.inf))
        line = charts.traces[0]
        assert np.isnan(line.y).sum() == 1
        assert line.marks[0].total == 200
        assert as_png(charts)
        assert as_html(charts)

    def test_a_series_with_nothing_in_it(self) -> None:
        nothing = np.full((300, 1), np.nan)
        charts = series(values=nothing, column_scores=nothing, scores=np.full(300, np.nan))
        assert as_png(charts)
        assert as_html(charts)

    def test_of_many_series_those_with_most_anomalies_are_shown(self) -> None:
        scores = np.zeros((300, 9))
        for column in (8, 7, 6, 5, 4, 2):
            scores[: column + 1, column] = 0.9
        charts = series(d=9, column_scores=scores)
        assert [trace.title for trace in charts.traces[:-1]] == ["s2", "s4", "s5", "s6", "s7", "s8"]
        assert "9 series" in charts.notes[0]

    def test_labels(self) -> None:
        charts = series(labels=np.array([1, 0, 0] * 100))
        assert {mark.sort for mark in charts.traces[0].marks} == {"found", "false alarm", "missed"}
        assert len(charts.judged) == 3
        assert as_png(charts)


class TestMovingLimits:
    def panel(self, low: np.ndarray | None, high: np.ndarray | None) -> TracePanel:
        return TracePanel("x", "x", np.arange(1, 5), np.array([0.0, 10.0, np.nan, 5.0]), True, low, high)

    def test_those_that_stay_are_shown_wherever_they_are(self) -> None:
        for panel in (self.panel(None, None), self.panel(np.full(4, -500.0), np.full(4, np.inf))):
            assert not panel.moving
            assert panel.y_range is None

    def test_those_beside_the_values_are_shown_whole(self) -> None:
        near = self.panel(np.array([-1.0, 8.0, np.nan, 4.0]), np.array([1.0, 12.0, np.nan, 6.0]))
        assert near.moving
        assert near.y_range is None

    def test_those_far_away_leave_the_room_to_the_values(self) -> None:
        far = self.panel(np.array([-900.0, -800.0, np.nan, -1.0]), np.array([900.0, 800.0, np.nan, 11.0]))
        assert far.y_range == (-3.0, 13.0)
        level = replace(far, y=np.full(4, 7.0))
        assert level.y_range is None

    @pytest.mark.parametrize("is_upper", [True, False])
    def test_those_of_one_side_are_a_band_up_to_the_edge(self, is_upper: bool) -> None:
        side = np.array([1.0, 12.0, np.nan, 6.0]) if is_upper else np.array([-1.0, 8.0, np.nan, 4.0])
        panel = self.panel(None, side) if is_upper else self.panel(side, np.full(4, np.inf))
        assert panel.y_range == pytest.approx((-0.6, 12.6) if is_upper else (-1.55, 10.55))
        assert panel.band is not None
        low, high = panel.band
        known = np.isfinite(side)
        assert np.isnan([low[2], high[2]]).all()
        assert (low[known] < high[known]).all()
        assert ((high if is_upper else low)[known] == side[known]).all()

    def test_one_side_that_stays_is_a_line(self) -> None:
        panel = self.panel(None, np.full(4, 7.0))
        assert panel.band is None
        assert panel.y_range is None
        assert len(panel.sides) == 1

    @pytest.mark.parametrize("side", ["positive", "negative", "both"])
    def test_the_limits_of_persist_hide_nothing(self, side: str) -> None:
        values = np.sin(np.arange(600.0) / 4)[:, None]
        detector = find("persist")(side=side).fit(values)
        limits, scores = detector.limits(values), detector.anomaly_score(values)
        charts = series_charts("x", ["value"], values, scores, scores[:, None], 0.5, low=limits.low, high=limits.high)
        sides = [item for item in drawn(as_html(charts)) if item.get("name") == "limits"]
        assert [(item["line"]["width"], item.get("fill")) for item in sides] == [(0, None), (0, "tonexty")]
        assert as_png(charts)

    @pytest.mark.parametrize("method", ["persist", "poly", "subpca"])
    def test_both_pictures_take_them(self, method: str) -> None:
        values = np.sin(np.arange(600.0) / 4)[:, None]
        values[300:320] += 5.0
        detector = find(method)().fit(values)
        limits, scores = detector.limits(values), detector.anomaly_score(values)
        charts = series_charts(
            "x", ["value"], values, scores, scores[:, None], 0.5, low=limits.low, high=limits.high
        )  # fmt: skip
        assert charts.traces[0].moving
        assert b"PNG" in as_png(charts)[:8]
        assert "limits" in as_html(charts)


class TestLargeNumbers:
    @pytest.mark.parametrize("scale", [1e-46, 1e9, 1e39])
    def test_level_lines_and_lone_points_are_where_they_belong(self, scale: float) -> None:
        values = scale * (1.0 + np.linspace(0.0, 1e-9, 300)[:, None])
        values[7] = high = scale * (1.0 + 3e-9)
        scores = np.zeros((300, 1))
        scores[7] = 0.9
        limits = np.full((300, 1), high)
        charts = series(values=values, scores=scores[:, 0], column_scores=scores, low=None, high=limits)
        shown = {item["name"]: item["y"] for item in drawn(as_html(charts))[:3]}
        assert set(shown["limits"]) == {high}
        assert list(shown["anomaly"]) == [high]

    @pytest.mark.parametrize("scale", [1e300, 1e306, 1e307, 1e308])
    def test_what_no_axis_reaches_is_drawn_at_its_end(self, scale: float) -> None:
        values = scale * np.linspace(-1.5, 1.5, 300)[:, None]
        limits = np.full((300, 1), np.inf)
        for charts in (series(values=values, low=-limits, high=limits), rows(values=values, names=["a"])):
            assert as_png(charts)
            assert ("What lies beyond ±1e+307 is drawn there." in charts.notes) == (scale > 1e306)


class TestAMillionRows:
    N = 1_000_000

    def marks_of(self, page: str) -> int:
        return max(len(trace["x"]) for trace in drawn(page) if trace.get("name") == "anomaly")

    def test_rows_stay_under_6_mb_with_every_anomaly(self) -> None:
        values = np.random.default_rng(3).normal(size=(self.N, 4))
        scores = np.zeros(self.N)
        scores[::100] = 0.9
        page = as_html(rows(names=list("abcd"), values=values, scores=scores, contributions=np.full(4, 0.25)))
        assert len(page.encode()) < 6_000_000
        assert self.marks_of(page) == 10_000
        assert "Of 990,000 normal rows, 5,000 are drawn" in page

    def test_series_stay_under_6_mb_with_every_anomaly(self) -> None:
        values = np.random.default_rng(4).normal(size=(self.N, 1))
        scores = np.full((self.N, 1), 0.1)
        scores[::100] = 0.9
        times = np.datetime64("2000-01-01", "ns") + np.arange(self.N) * np.timedelta64(60, "s")
        given = {"values": values, "column_scores": scores, "scores": scores[:, 0], "times": times}
        page = as_html(series(**given, low=values - 3, high=values + 3))
        assert len(page.encode()) < 6_000_000
        assert self.marks_of(page) == 10_000
        assert "1,000,000 rows; lines have up to 8,000 points" in page

    def test_more_anomalies_than_can_be_drawn_are_counted(self) -> None:
        scores = np.zeros(self.N)
        scores[::2] = 0.9
        charts = rows(values=np.zeros((self.N, 1)), names=["a"], scores=scores, contributions=None)
        (mark,) = charts.traces[0].marks
        assert isinstance(mark, Marks)
        assert (mark.total, len(mark.x)) == (500_000, 15_000)
        assert any("of 500,000 rows marked “anomaly”, 15,000 are drawn" in note for note in charts.notes)
        assert len(as_html(charts).encode()) < 6_000_000


class TestHtml:
    def test_it_needs_nothing_else(self) -> None:
        page = as_html(rows())
        assert page.startswith("<!DOCTYPE html>")
        own = page.replace(page[page.index("<script>") : page.index("</script>")], "")  # without plotly.js
        assert not re.findall(r"<(?:link|iframe|img|object|embed)\b", own)
        assert not re.findall(r"\bsrc=", own)
        assert "default-src 'none'" in page
        assert "cdn" not in own

    def test_names_are_text(self) -> None:
        charts = rows(d=5, names=HOSTILE, title=HOSTILE[0], facts=HOSTILE)
        page = as_html(charts)
        for tag in ("<script>alert", "<img", "onerror=alert(1)>"):
            assert tag not in page
        assert f"<h1>{html.escape(HOSTILE[0])}</h1>" in page
        series_page = as_html(series(d=5, names=HOSTILE))
        assert "<script>alert" not in series_page
        assert "<img" not in series_page

    @settings(max_examples=3, deadline=None)
    @given(st.text(min_size=1, max_size=30))
    def test_any_name(self, name: str) -> None:
        page = as_html(series(40, names=[name], title=name))
        assert len(drawn(page)) > 0
        assert html.escape(name) in page


class TestPng:
    def test_it_is_a_picture(self) -> None:
        data = as_png(rows(labels=np.array([1, 0, 0] * 100), facts=["iNNE", "300 rows"]))
        assert data.startswith(b"\x89PNG")
        width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
        assert width == 1540
        assert 1000 < height < 2000

    def test_names_are_text(self) -> None:
        assert as_png(rows(d=5, names=HOSTILE, title=HOSTILE[2], facts=HOSTILE))
        assert as_png(series(d=5, names=HOSTILE))
