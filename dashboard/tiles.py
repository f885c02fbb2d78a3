"""Picture 1: a tile for each headline KPI, with a sparkline drawn by hand (no chart library for thirteen points)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from markupsafe import Markup, escape

from dashboard.links import kpi_link
from dashboard.marts import Row
from dashboard.sheet import GRAIN, MONTHS_SHOWN, WHOLE, Sheet
from dashboard.show import month_name, origin, quarter_name, time

VALUES = (
    "value",
    "n",
    "target",
    "target_status",
    "previous_value",
    "change_abs",
    "trend",
    "higher_is_better",
    "period_end",
    "is_complete",
    "is_suppressed",
    "is_low_confidence",
    "ci_low",
    "ci_high",
)
STATUS_WORDS = {
    "met": "target met",
    "at_risk": "close to target",
    "missed": "target missed",
    "no_data": "no data",
    "not_due": "target not due yet",
}
TREND_WORDS = {"improving": "better", "worsening": "worse", "steady": "no change"}

# What a headline is read with: column of the KPI's own table, its unit and words, the days for which a period has to be
# over before it can be told, and the kind of period (decision log, P10).
BESIDE = {
    "net_revenue_retention": ("value", "ratio", "in the", 0, "ttm"),
    "gross_renewal_rate": ("value", "ratio", "in the", 0, "ttm"),
    "customer_churn_rate": ("value", "ratio", "in the", 0, "ttm"),
    "customer_health_score": ("green_arr_share", "ratio", "of ARR is green", 0, "month"),
    "time_to_first_value": ("km_median_days", "days", "Kaplan-Meier median", 90, "month"),
}


@dataclass(frozen=True)
class Tile:
    """What a tile shows. `reason` is set when the value is grey."""

    link: Markup
    value: Markup
    reason: Markup
    period: Markup
    target: Markup
    beside: Markup
    change: Markup
    n: Markup
    sparkline: Markup
    css: str


def tiles(sheet: Sheet) -> list[Tile]:
    """One tile a headline KPI, in the order of their ranks; of a file from before there were any, by name."""
    found = sheet.marts.con.execute("select * from dim_kpis where is_headline order by kpi_name")
    names = [column[0] for column in found.description]
    kpis = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    kpis.sort(key=lambda kpi: kpi.get("headline_rank") or 0)
    return [_tile(sheet, kpi["kpi_id"], kpi["kpi_name"], kpi["unit"]) for kpi in kpis]


def history(sheet: Sheet, kpi_id: str, period_type: str) -> list[Row]:
    """The total of a KPI by period, oldest first."""
    return sheet.marts.read(
        "mart_kpi_values",
        ["kpi_id", *GRAIN],
        VALUES,
        f"kpi_id = '{kpi_id}' and period_type = '{period_type}' and segment_type = 'all'",
        order="period_start",
    )


def main_period(sheet: Sheet, kpi_id: str) -> str:
    """The shortest kind of period that a KPI has."""
    kinds = {
        kind
        for (kind,) in sheet.marts.con.execute(
            "select distinct period_type from mart_kpi_values where kpi_id = ?", [kpi_id]
        ).fetchall()
    }
    return "month" if "month" in kinds or not kinds else "quarter"


def period_words(row: Row) -> Markup:
    """The period of a row, in words."""
    start = row["period_start"]
    if row["period_type"] == "month":
        return time(start, month_name(start, long=True))
    if row["period_type"] == "quarter":
        return time(start, quarter_name(start))
    return Markup("twelve months to {}").format(time(row["period_end"], month_name(row["period_end"], long=True)))


def grey_reason(sheet: Sheet, row: Row) -> Markup:
    """Why a value must be read with care or is not shown; empty when nothing stands against it."""
    n = sheet.writer.show(row.figure("n"), "count")
    if row["is_suppressed"]:
        return Markup("not shown: too few to judge (n = {})").format(n)
    if row["value"] is None:
        return Markup("nothing to measure (n = {})").format(n)
    if not row["is_complete"]:
        return Markup("period not over yet")
    if row["is_low_confidence"]:
        return Markup("few answers (n = {}): read with care").format(n)
    return Markup("")


def short_reason(row: Row) -> str:
    """The same for a row of a table, where n stands beside it."""
    if row["is_suppressed"]:
        return "too few to show"
    if row["value"] is None:
        return "nothing to measure"
    return "read with care" if row["is_low_confidence"] else ""


def arrow(sheet: Sheet, row: Row, unit: str) -> Markup:
    """The change on the previous period; its colour says better or worse, its arrow up or down."""
    change = row["change_abs"]
    if change is None or row["is_suppressed"]:
        return Markup('<span class="change none">no earlier period to compare with</span>')
    trend = row["trend"] if row["trend"] in TREND_WORDS else "none"
    sign = "▲" if change > 0 else "▼" if change < 0 else "▬"
    words = f" {TREND_WORDS[trend]}" if trend in TREND_WORDS else ""
    return Markup('<span class="change {}">{} {}{}</span>').format(
        trend, sign, sheet.writer.show(row.figure("change_abs"), f"+{unit}"), words
    )


def _tile(sheet: Sheet, kpi_id: str, name: str, unit: str) -> Tile:
    rows = history(sheet, kpi_id, main_period(sheet, kpi_id))
    complete = [row for row in rows if row["is_complete"]]
    link = kpi_link(kpi_id, name)
    if not complete:
        dash = Markup("–")
        none = Markup("")
        return Tile(link, dash, Markup("no complete period yet"), dash, dash, none, none, none, none, "grey")
    row = complete[-1]
    reason = grey_reason(sheet, row)
    shown = sheet.writer.show(row.figure("value"), unit) if not row["is_suppressed"] else Markup("–")
    status = row["target_status"]
    target = (
        Markup('target {} <span class="status {}">{}</span>').format(
            sheet.writer.goal(row.figure("target"), unit), status or "none", STATUS_WORDS.get(status, "")
        )
        if row["target"] is not None
        else Markup("no target")
    )
    return Tile(
        link,
        shown,
        reason,
        period_words(row),
        target,
        _beside(sheet, kpi_id, period_words(row)),
        arrow(sheet, row, unit),
        sheet.writer.show(row.figure("n"), "count"),
        sparkline(sheet, rows[-MONTHS_SHOWN:], name, unit),
        "grey" if reason else "",
    )


def _beside(sheet: Sheet, kpi_id: str, period: Markup) -> Markup:
    """The second figure of a headline, of the newest period that can tell it, which is named when it is not the period
    of the first; empty where a headline needs none."""
    if kpi_id not in BESIDE:
        return Markup("")
    column, unit, words, days, kind = BESIDE[kpi_id]
    rows = sheet.marts.read(
        f"kpi_{kpi_id}",
        GRAIN,
        [column, "period_end"],
        f"period_type = '{kind}' and {WHOLE} and period_end <= '{sheet.marts.as_of - timedelta(days)}'",
        order="period_start desc",
        limit=1,
    )
    if not rows:
        return Markup("")
    shown = sheet.writer.show(rows[0].figure(column), unit)
    told = period_words(rows[0])
    if kind == "ttm":
        return Markup("{} {} {}").format(shown, words, told)
    return Markup("{} {}").format(shown, words) + (Markup("") if told == period else Markup(", ") + told)


def sparkline(sheet: Sheet, rows: list[Row], name: str, unit: str, width: int = 240, height: int = 44) -> Markup:
    """A line through the values of thirteen periods; what is incomplete or thin is a hollow grey dot."""
    known = [row for row in rows if row["value"] is not None and not row["is_suppressed"]]
    if not known:
        return Markup("")
    goal = known[-1]["target"]
    values = [row["value"] for row in known] + ([goal] if goal is not None else [])
    low, reach = min(values), (max(values) - min(values)) or 1.0
    step = (width - 12) / max(len(rows) - 1, 1)
    places = {
        row["period_start"]: (6 + place * step, height - 6 - (row["value"] - low) / reach * (height - 12))
        for place, row in enumerate(rows)
        if row in known
    }
    parts = []
    if goal is not None:
        level = height - 6 - (goal - low) / reach * (height - 12)
        parts.append(f'<line class="goal" x1="2" x2="{width - 2}" y1="{level:.1f}" y2="{level:.1f}"/>')
    firm = [places[row["period_start"]] for row in known if row["is_complete"]]
    parts.append('<polyline points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in firm) + '"/>')
    for row in known:
        x, y = places[row["period_start"]]
        soft = " soft" if not row["is_complete"] or row["is_low_confidence"] else ""

        said = escape(f"{name} {month_name(row['period_start'])}: {sheet.writer.text(row['value'], unit)}")
        attributes = str(origin(row.figure("value"))).replace('value="', 'data-value="', 1)
        parts.append(
            f'<circle class="dot{soft}" cx="{x:.1f}" cy="{y:.1f}" r="2.6" {attributes}><title>{said}</title></circle>'
        )
    return Markup(
        f'<svg class="spark" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}, last {len(rows)} periods">'
        + "".join(parts)
        + "</svg>"
    )
