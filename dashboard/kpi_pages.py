"""One page a KPI: definition, formula, value, trend, target, cuts, caveats, and the SELECT behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import altair as alt
from markupsafe import Markup

from dashboard.marts import Row
from dashboard.prose import bullets
from dashboard.sheet import GRAIN, Sheet
from dashboard.show import BLUE, GREY, INK, PANEL_WIDTH, SKY, Canvas, Panel, in_words, month_name, quarter_name
from dashboard.tiles import STATUS_WORDS, VALUES, arrow, grey_reason, history, main_period, period_words, short_reason
from orchestration.variables import PROJECT_DIR

PERIODS_SHOWN = 25
VALUES_OF_A_CUT = 12
HIDDEN_CUTS = ("all", "csm_segment")
AXIS_FORMATS = {"ratio": ".0%", "money": "~s", "days": "~r"}


def kpi_pages(sheet: Sheet, places: dict[str, str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, template, context) of the list of KPIs and of each KPI's page; `places` is where each one is drawn."""
    kpis = sheet.marts.read(
        "dim_kpis",
        ["kpi_id"],
        [
            "kpi_name",
            "category",
            "unit",
            "higher_is_better",
            "formula",
            "objective",
            "owner",
            "is_headline",
            "review_by",
        ],
        order="category, kpi_name",
    )
    trends, summaries = TrendChart(sheet), []
    for kpi in kpis:
        page = _page(sheet, kpi, trends)
        summaries.append({**page, "kpi": kpi})
        yield f"kpis/{kpi['kpi_id']}.html", "kpi.html", {**page, "place": places.get(kpi["kpi_id"]), "here": "kpis"}
    yield "kpis.html", "kpis.html", {"kpis": summaries, "here": "kpis"}


def _page(sheet: Sheet, kpi: Row, trends: TrendChart) -> dict[str, Any]:
    slug, unit = kpi["kpi_id"], kpi["unit"]
    kind = main_period(sheet, slug)
    rows = history(sheet, slug, kind)
    latest = []
    for period_type in ("month", "quarter", "ttm"):
        complete = [row for row in history(sheet, slug, period_type) if row["is_complete"]]
        if complete:
            latest.append(_latest(sheet, complete[-1], unit))
    complete = [row for row in rows if row["is_complete"]]
    return {
        "kpi": kpi,
        "latest": latest,
        "trend": trends.draw(rows[-PERIODS_SHOWN:], kpi["kpi_name"], unit),
        "cuts": _cuts(sheet, slug, unit, complete[-1]) if complete else [],
        "period": period_words(complete[-1]) if complete else Markup(""),
        "prose": bullets(sheet.marts.comments[f"kpi_{slug}"]),
        "sql": model_sql(slug),
        "select": (
            "select period_start, period_end, value, numerator, denominator, n, is_complete, is_suppressed\n"
            f"from kpi_{slug}\nwhere period_type = '{kind}' and segment_type = 'all'\norder by period_start desc"
        ),
    }


def model_sql(slug: str) -> str:
    """The source of a KPI's model: its formula in SQL, without the comment on its grain."""
    text = (PROJECT_DIR / "models" / "marts" / "kpis" / f"kpi_{slug}.sql").read_text(encoding="utf-8")
    return re.sub(r"\A(--[^\n]*\n)+", "", text).strip()


def _latest(sheet: Sheet, row: Row, unit: str) -> dict[str, Markup]:
    hidden = row["is_suppressed"]
    status = row["target_status"]
    target = Markup("no target")
    if row["target"] is not None:
        target = Markup('target {} <span class="status {}">{}</span>').format(
            sheet.writer.goal(row.figure("target"), unit), status or "none", STATUS_WORDS.get(status, "")
        )
    return {
        "period": period_words(row),
        "value": Markup("–") if hidden else sheet.writer.show(row.figure("value"), unit),
        "reason": grey_reason(sheet, row),
        "target": target,
        "change": arrow(sheet, row, unit),
        "n": sheet.writer.show(row.figure("n"), "count"),
    }


def _cuts(sheet: Sheet, slug: str, unit: str, last: Row) -> list[dict[str, Any]]:
    rows = sheet.marts.read(
        "mart_kpi_values",
        ["kpi_id", *GRAIN],
        VALUES,
        f"kpi_id = '{slug}' and period_type = '{last['period_type']}' and period_start = '{last['period_start']}' "
        f"and segment_type not in {HIDDEN_CUTS}",
        order="segment_type, n desc nulls last, segment_value",
    )
    cuts: dict[str, list[Row]] = {}
    for row in rows:
        cuts.setdefault(row["segment_type"], []).append(row)
    return [
        {
            "name": in_words(cut),
            "rows": [_cut_row(sheet, row, unit, group) for row in group[:VALUES_OF_A_CUT]],
            "more": max(len(group) - VALUES_OF_A_CUT, 0),
        }
        for cut, group in cuts.items()
    ]


def _cut_row(sheet: Sheet, row: Row, unit: str, group: list[Row]) -> dict[str, Any]:
    name = row["segment_value"]
    shown = [abs(one["value"]) for one in group if one["value"] is not None and not one["is_suppressed"]]
    hidden = row["value"] is None or row["is_suppressed"]
    width = 0 if hidden or not max(shown, default=0) else abs(row["value"]) / max(shown) * 100
    return {
        "name": sheet.marts.csm_names.get(name) or in_words(name),
        "value": Markup("–") if row["is_suppressed"] else sheet.writer.show(row.figure("value"), unit),
        "reason": short_reason(row),
        "n": sheet.writer.show(row.figure("n"), "count"),
        "target": sheet.writer.goal(row.figure("target"), unit) if row["target"] is not None else "",
        "status": row["target_status"] or "none",
        "status_words": STATUS_WORDS.get(row["target_status"], ""),
        "width": f"{width:.1f}",
        "grey": bool(short_reason(row)),
        "negative": (row["value"] or 0) < 0,
    }


class TrendChart:
    """The trend of a KPI. The chart of a unit is made once and drawn with each KPI's rows."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.charts: dict[str, alt.LayerChart] = {}

    def draw(self, rows: list[Row], name: str, unit: str) -> Panel:
        """Value by period, with its interval, its target, and hollow grey dots for what must be read with care."""
        known = [row for row in rows if row["value"] is not None and not row["is_suppressed"]]
        if not known:
            return Panel(None, reason="no period with a value that can be shown yet")
        canvas, points = self.sheet.canvas(), []
        for row in rows:
            period = month_name(row["period_start"])
            point: dict[str, Any] = {"period": period, "target": row["target"]}
            if row in known:
                long = period if row["period_type"] == "month" else quarter_name(row["period_start"])
                soft = not row["is_complete"] or row["is_low_confidence"]
                point |= {
                    "value": row["value"],
                    "firm": row["value"] if row["is_complete"] else None,
                    "low": row["ci_low"],
                    "high": row["ci_high"],
                    "fill": "white" if soft else BLUE,
                    "stroke": GREY if soft else BLUE,
                    "token": canvas.mark(f"{name} {long}", row.figure("value"), unit),
                }
            points.append(point)
        canvas.datasets["rows0"] = points
        if unit not in self.charts:
            self.charts[unit] = self._chart(canvas, unit)
        panel = canvas.draw(self.charts[unit], f"{name} by {rows[-1]['period_type']}")
        return Panel(panel.svg, panel.numbers[::-1])

    def _chart(self, canvas: Canvas, unit: str) -> alt.LayerChart:
        x = alt.X(
            "period:N",
            sort=None,
            axis=alt.Axis(title=None, labelAngle=0, grid=False, labelOverlap=True, labelSeparation=8),
        )
        titles = {"money": canvas.writer.currency, "days": "days", "ratio": "share", "count": "number"}
        axis = alt.Axis(title=titles.get(unit, "points"), tickCount=5)
        if unit in AXIS_FORMATS:
            axis = alt.Axis(title=titles[unit], tickCount=5, format=AXIS_FORMATS[unit])
        y = alt.Y("value:Q", scale=alt.Scale(zero=False, padding=10), axis=axis)
        base = alt.Chart(alt.NamedData(name="rows0")).encode(x=x)
        return alt.layer(
            base.mark_area(color=SKY, opacity=0.25).encode(y=alt.Y("low:Q"), y2=alt.Y2("high")),
            base.mark_line(color=INK, strokeDash=[4, 3], strokeWidth=1).encode(y=alt.Y("target:Q")),
            base.mark_line(color=BLUE, strokeWidth=2).encode(y=alt.Y("firm:Q")),
            base.transform_filter("isValid(datum.value)")
            .mark_point(size=34, opacity=1)
            .encode(
                y=y,
                fill=alt.Fill("fill:N", scale=None),
                stroke=alt.Stroke("stroke:N", scale=None),
                description=alt.Description("token:N"),
            ),
        ).properties(width=2 * PANEL_WIDTH - 80, height=240)
