"""The pictures of the second page: what one looks at when the first page raises a question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
from markupsafe import Markup

from dashboard.links import kpi_link
from dashboard.marts import Row
from dashboard.sheet import GRAIN, WHOLE, Picture, Sheet, nothing
from dashboard.show import (
    BLUE,
    GREY,
    INK,
    LIGHT,
    MUTED,
    ORANGE,
    PANEL_WIDTH,
    SKY,
    VERMILLION,
    Canvas,
    Panel,
    in_words,
    month_name,
    quarter_name,
    time,
)

COHORTS_SHOWN = 14
FEW = 3
TRENDS = {
    "customer_satisfaction_score": ("CSAT: satisfied answers", "ratio", ".0%"),
    "customer_effort_score": ("CES: ease, 0 to 100", "score", ".0f"),
    "first_contact_resolution_rate": ("FCR: solved at first contact", "ratio", ".0%"),
    "self_service_rate": ("Self-service: solved alone", "ratio", ".0%"),
}


def cohorts(sheet: Sheet) -> Picture:
    """The triangle of customers kept by month of start and age."""
    caption = "Share of the customers who started in a month that are still customers, by age. Grey: fewer than three started."
    rows = sheet.marts.read(
        "mart_cohort_retention",
        ["cohort_month", "months_since", "segment_value"],
        ["logo_retention", "cohort_logos"],
        "segment_value = 'all' and logo_retention is not null",
    )
    starts = sorted({row["cohort_month"] for row in rows})[-COHORTS_SHOWN:]
    rows = [row for row in rows if row["cohort_month"] in starts]
    if not rows:
        return nothing("Cohorts", caption, "no customer has started yet")
    canvas = sheet.canvas()
    cells = [
        {
            "cohort": month_name(row["cohort_month"]),
            "age": row["months_since"],
            "kept": row["logo_retention"],
            "few": row["cohort_logos"] < FEW,
            "text": sheet.writer.text(row["logo_retention"], "share").removesuffix(" %") + "%"
            if row["cohort_logos"] >= FEW
            else "",
            "token": canvas.mark(
                f"kept of {month_name(row['cohort_month'])} after {row['months_since']} months",
                row.figure("logo_retention"),
                "share",
            ),
        }
        for row in rows
    ]
    order = [month_name(day) for day in starts]
    base = alt.Chart(canvas.data(cells)).encode(
        x=alt.X(
            "age:O",
            axis=alt.Axis(title="months since the start; cells: % kept", labelAngle=0, grid=False, orient="top"),
        ),
        y=alt.Y("cohort:N", sort=order, axis=alt.Axis(title=None, grid=False, labelColor=INK)),
    )
    low = min(0.6, *(cell["kept"] for cell in cells))
    chart = (
        base.transform_filter("!datum.few")
        .mark_rect(stroke="white")
        .encode(
            color=alt.Color(
                "kept:Q",
                scale=alt.Scale(domain=[low, 1], range=["#E8A55B", "#ffffff", "#6FB1DC"], interpolate="rgb"),
                legend=None,
            ),
            description=alt.Description("token:N"),
        )
        + base.transform_filter("datum.few")
        .mark_rect(stroke="white", color=LIGHT)
        .encode(description=alt.Description("token:N"))
        + base.mark_text(fontSize=9)
        .encode(text=alt.Text("text:N"), description=alt.Description("token:N"))
        .transform_filter("datum.text != ''")
    ).properties(width=PANEL_WIDTH - 56, height=alt.Step(22))
    return Picture(Markup("How long new customers stay"), caption, [canvas.draw(chart, "Cohort retention")])


def expansion(sheet: Sheet) -> Picture:
    """Expansion ARR of the last complete quarters by CSM, with the red flags."""
    caption = "Expansion ARR of the last complete quarter. Flags: ▼ sudden drop, ▽ two falls in a row, ◁ below the team's average."
    rows = sheet.marts.read(
        "kpi_quarterly_expansion_revenue",
        GRAIN,
        ["expansion_arr", "is_sudden_drop", "is_consistent_decrease", "is_below_team_average", "n"],
        f"segment_type = 'csm' and not is_suppressed and period_start = '{sheet.quarter or '0001-01-01'}'",
        order="expansion_arr desc, segment_value",
    )
    csms = sheet.marts.csm_names
    rows = [row for row in rows if row["segment_value"] in csms]
    if not rows:
        return nothing("Expansion by CSM", caption, "no complete quarter that a CSM began with three customers")
    canvas = sheet.canvas()
    bars = [
        {
            "csm": csms[row["segment_value"]],
            "arr": float(row["expansion_arr"]),
            "token": canvas.mark(f"expansion of {csms[row['segment_value']]}", row.figure("expansion_arr"), "money"),
            "text": sheet.writer.text(row["expansion_arr"], "money"),
            "flags": _flags(row),
        }
        for row in rows
    ]
    top = max(bar["arr"] for bar in bars) or 1.0
    width = PANEL_WIDTH - 100
    base = alt.Chart(canvas.data(bars)).encode(
        y=alt.Y("csm:N", sort=None, axis=alt.Axis(title=None, labelColor=INK, grid=False))
    )
    chart = (
        base.mark_bar(height=14, color=BLUE).encode(
            x=alt.X(
                "arr:Q", scale=alt.Scale(domain=[0, top * 1.5], nice=False), axis=sheet.money_axis("Expansion ARR")
            ),
            description=alt.Description("token:N"),
        )
        + base.mark_text(align="left", dx=4).encode(
            x=alt.X("arr:Q"), text=alt.Text("text:N"), description=alt.Description("token:N")
        )
        + base.mark_text(align="right", color=VERMILLION, fontWeight=700).encode(
            x=alt.value(width), text=alt.Text("flags:N")
        )
    ).properties(width=width, height=alt.Step(30))
    title = Markup("Expansion by CSM, {}").format(time(sheet.quarter, quarter_name(sheet.quarter)))
    return Picture(title, caption, [canvas.draw(chart, "Expansion by CSM")])


def _flags(row: Row) -> str:
    marks = {"is_sudden_drop": "▼", "is_consistent_decrease": "▽", "is_below_team_average": "◁"}
    return " ".join(mark for column, mark in marks.items() if row[column])


def service(sheet: Sheet) -> Picture:
    """CSAT, effort, first contact resolution and self-service by month."""
    caption = "By month, thirteen months; dashed: target; hollow grey: not over yet or few answers."
    panels = [_service_trend(sheet, kpi, *rest) for kpi, rest in TRENDS.items()]
    names = dict(sheet.marts.con.execute("select kpi_id, kpi_name from dim_kpis").fetchall())
    links = Markup(", ").join(kpi_link(kpi, names.get(kpi, kpi)) for kpi in TRENDS)
    return Picture(
        Markup("How support is felt"), caption, panels, Markup('<p class="small">{}</p>').format(links), span=3
    )


def _service_trend(sheet: Sheet, kpi: str, title: str, unit: str, axis: str) -> Panel:
    rows = sheet.marts.read(
        "mart_kpi_values",
        ["kpi_id", *GRAIN],
        ["value", "target", "n", "is_complete", "is_suppressed", "is_low_confidence"],
        f"kpi_id = '{kpi}' and period_type = 'month' and {WHOLE}",
        order="period_start",
    )[-13:]
    known = [row for row in rows if row["value"] is not None and not row["is_suppressed"]]
    if not known:
        return Panel(None, reason=f"{title}: nothing to show yet")
    canvas = sheet.canvas()
    points = [{"month": month_name(row["period_start"]), "target": row["target"]} for row in rows if row not in known]
    points += [
        {
            "month": month_name(row["period_start"]),
            "value": row["value"],
            "target": row["target"],
            "firm": row["value"] if row["is_complete"] else None,
            "fill": BLUE if row["is_complete"] and not row["is_low_confidence"] else "white",
            "stroke": BLUE if row["is_complete"] and not row["is_low_confidence"] else GREY,
            "token": canvas.mark(f"{title} {month_name(row['period_start'])}", row.figure("value"), unit),
        }
        for row in known
    ]
    order = [month_name(row["period_start"]) for row in rows]
    base = alt.Chart(canvas.data(points)).encode(
        x=alt.X("month:N", sort=order, axis=alt.Axis(title=None, labelAngle=0, grid=False, values=order[::-1][::4]))
    )
    chart = alt.layer(
        base.mark_line(color=MUTED, strokeDash=[4, 3]).encode(y=alt.Y("target:Q")),
        base.mark_line(color=BLUE, strokeWidth=2).encode(y=alt.Y("firm:Q")),
        base.transform_filter("isValid(datum.value)")
        .mark_point(size=30, opacity=1)
        .encode(
            y=alt.Y(
                "value:Q", scale=alt.Scale(zero=False, padding=8), axis=alt.Axis(title=None, tickCount=4, format=axis)
            ),
            fill=alt.Fill("fill:N", scale=None),
            stroke=alt.Stroke("stroke:N", scale=None),
            description=alt.Description("token:N"),
        ),
    ).properties(width=PANEL_WIDTH - 100, height=130, title=title)
    return canvas.draw(chart, title)


def adoption(sheet: Sheet) -> Picture:
    """What each segment pays for and does not use."""
    caption = "Share of a segment's paying accounts that have the feature and did not use it in the month. Darker: more to win."
    month = sheet.month or "0001-01-01"
    source = (
        f"(select account.segment, months.account_id, unnest(string_split(months.unused_features, ', ')) as feature "
        f"from fct_account_adoption_months as months join dim_accounts as account using (account_id) where months.month = '{month}')"
    )
    whole = (
        "(select count(*) from fct_account_adoption_months as every join dim_accounts as owner using (account_id) "
        f"where every.month = '{month}' and owner.segment is not distinct from unused.segment)"
    )
    rows = sheet.marts.read(
        f"{source} as unused",
        {"segment": "unused.segment", "feature": "feature"},
        {"share": f"count(*) / max({whole})", "accounts": f"max({whole})"},
        "feature <> ''",
        grouped=True,
    )
    rows = [row for row in rows if row["accounts"] >= FEW]
    if not rows:
        return nothing("Paid for and not used", caption, "no feature is left unused in a complete month", span=1)
    totals: dict[str, float] = {}
    for row in rows:
        totals[row["feature"]] = totals.get(row["feature"], 0.0) + row["share"]
    top = sorted(totals, key=lambda feature: -totals[feature])[:16]
    canvas = sheet.canvas()
    cells = [
        {
            "feature": in_words(row["feature"]),
            "segment": in_words(row["segment"]),
            "share": row["share"],
            "text": sheet.writer.text(row["share"], "share"),
            "token": canvas.mark(
                f"{in_words(row['feature'])}, {in_words(row['segment'])}: not used", row.figure("share"), "share"
            ),
        }
        for row in rows
        if row["feature"] in top
    ]
    base = alt.Chart(canvas.data(cells)).encode(
        x=alt.X("segment:N", axis=alt.Axis(title=None, orient="top", labelAngle=0, grid=False, labelColor=INK)),
        y=alt.Y(
            "feature:N", sort=[in_words(name) for name in top], axis=alt.Axis(title=None, grid=False, labelColor=INK)
        ),
    )
    chart = (
        base.mark_rect(stroke="white").encode(
            color=alt.Color(
                "share:Q", scale=alt.Scale(domain=[0, 1], range=["#f4f5f7", ORANGE], interpolate="rgb"), legend=None
            ),
            description=alt.Description("token:N"),
        )
        + base.mark_text(fontSize=10).encode(text=alt.Text("text:N"), description=alt.Description("token:N"))
    ).properties(width=PANEL_WIDTH - 110, height=alt.Step(20))
    return Picture(Markup("Paid for and not used"), caption, [canvas.draw(chart, "Unused features by segment")])


def engagement(sheet: Sheet) -> Picture:
    """Churn of accounts by how much contact they had."""
    caption = "Share that left within 180 days of the last snapshot that is old enough. Who is called more may differ in other ways: no proof of cause."
    rows = sheet.marts.read(
        "mart_engagement_effect",
        ["snapshot_date", "segment_value", "engagement_band"],
        ["churn_rate_next_180d", "n_accounts"],
        "segment_value = 'all' and churn_rate_next_180d is not null and snapshot_date = (select max(snapshot_date) from "
        "mart_engagement_effect where segment_value = 'all' and churn_rate_next_180d is not null)",
    )
    if not rows:
        return nothing("Contact and churn", caption, "no snapshot is 180 days old yet")
    canvas, order = sheet.canvas(), ["none", "low", "medium", "high"]
    bars = [
        {
            "band": row["engagement_band"],
            "rate": row["churn_rate_next_180d"],
            "fill": BLUE if row["n_accounts"] >= FEW else GREY,
            "token": canvas.mark(
                f"left, {row['engagement_band']} engagement", row.figure("churn_rate_next_180d"), "ratio"
            ),
            "text": sheet.writer.text(row["churn_rate_next_180d"], "ratio"),
            "n": f"n {row['n_accounts']:,}",
            "n_token": canvas.mark(f"accounts, {row['engagement_band']} engagement", row.figure("n_accounts"), "count"),
        }
        for row in rows
    ]
    base = alt.Chart(canvas.data(bars)).encode(
        x=alt.X("band:N", sort=order, axis=alt.Axis(title="engagement", labelAngle=0, grid=False, labelColor=INK))
    )
    y = alt.Y(
        "rate:Q",
        axis=alt.Axis(title="left within 180 days", format=".0%", tickCount=4),
        scale=alt.Scale(domain=[0, (max(bar["rate"] for bar in bars) or 0.01) * 1.3]),
    )
    chart = (
        base.mark_bar(size=46).encode(
            y=y, color=alt.Color("fill:N", scale=None), description=alt.Description("token:N")
        )
        + base.mark_text(dy=-19, fontWeight=600).encode(
            y=y, text=alt.Text("text:N"), description=alt.Description("token:N")
        )
        + base.mark_text(dy=-6, color=MUTED, fontSize=10).encode(
            y=y, text=alt.Text("n:N"), description=alt.Description("n_token:N")
        )
    ).properties(width=PANEL_WIDTH - 70, height=200)
    title = Markup("Contact and churn, accounts of {}").format(time(rows[0]["snapshot_date"]))
    return Picture(title, caption, [canvas.draw(chart, "Churn by engagement")])


def advocacy(sheet: Sheet) -> Picture:
    """From what was asked to what was done, over four complete quarters."""
    caption = "Advocacy of the last four complete quarters: light is what was asked for, dark what was done."
    where = (
        f"segment_type = 'advocacy_type' and period_type = 'quarter' and period_start <= '{sheet.quarter or '0001-01-01'}' "
        f"and period_start > date '{sheet.quarter or '0001-01-01'}' - interval 12 month"
    )
    rows = sheet.marts.read(
        "kpi_advocacy_activity",
        {"kind": "segment_value"},
        {"asked": "cast(sum(n_requested) as bigint)", "done": "cast(sum(n_completed) as bigint)"},
        where,
        grouped=True,
        order="asked desc, kind",
    )
    rows = [row for row in rows if row["asked"] or row["done"]]
    if not rows:
        return nothing("Advocacy", caption, "nobody was asked in the last four complete quarters")
    canvas = sheet.canvas()
    bars = [
        {
            "kind": in_words(row["kind"]),
            "asked": row["asked"],
            "done": row["done"],
            "asked_token": canvas.mark(f"{in_words(row['kind'])}: asked", row.figure("asked"), "count"),
            "done_token": canvas.mark(f"{in_words(row['kind'])}: done", row.figure("done"), "count"),
            "asked_text": f"of {row['asked']:,}",
            "done_text": f"{row['done']:,}",
        }
        for row in rows
    ]
    top = max(max(bar["asked"], bar["done"]) for bar in bars)
    scale = alt.Scale(domain=[0, top * 1.3], nice=False)
    base = alt.Chart(canvas.data(bars)).encode(
        y=alt.Y("kind:N", sort=None, axis=alt.Axis(title=None, labelColor=INK, grid=False))
    )
    chart = (
        base.mark_bar(height=18, color="#cfe6f5").encode(
            x=alt.X("asked:Q", scale=scale, axis=alt.Axis(title="activities", tickCount=5)),
            description=alt.Description("asked_token:N"),
        )
        + base.mark_bar(height=9, color=BLUE).encode(
            x=alt.X("done:Q", scale=scale), description=alt.Description("done_token:N")
        )
        + base.mark_text(align="right", fontWeight=600).encode(
            x=alt.value(PANEL_WIDTH - 134), text=alt.Text("done_text:N"), description=alt.Description("done_token:N")
        )
        + base.mark_text(align="left", color=MUTED).encode(
            x=alt.value(PANEL_WIDTH - 130), text=alt.Text("asked_text:N"), description=alt.Description("asked_token:N")
        )
    ).properties(width=PANEL_WIDTH - 100, height=alt.Step(30))
    return Picture(Markup("Advocacy: asked for and done"), caption, [canvas.draw(chart, "Advocacy asked for and done")])


def sentiment(sheet: Sheet) -> Picture:
    """Mean sentiment of feedback by channel and quarter."""
    caption = "Mean sentiment by channel, −1 to +1, last six quarters; left out where too few can be judged. Hollow: not over yet or few pieces of feedback."
    rows = sheet.marts.read(
        "kpi_feedback_sentiment",
        GRAIN,
        ["value", "n", "is_complete", "is_low_confidence"],
        "period_type = 'quarter' and segment_type = 'channel' and value is not null and not is_suppressed",
    )
    starts = sorted({row["period_start"] for row in rows})[-6:]
    rows = [row for row in rows if row["period_start"] in starts]
    if not rows:
        return nothing("Sentiment by channel", caption, "too little feedback yet")
    channels = sorted(
        {row["segment_value"] for row in rows},
        key=lambda name: (-sum(row["n"] for row in rows if row["segment_value"] == name), name),
    )[:6]
    canvas = sheet.canvas()
    points = [
        {
            "quarter": month_name(row["period_start"]),
            "channel": in_words(row["segment_value"]),
            "value": row["value"],
            "fill": BLUE if row["is_complete"] and not row["is_low_confidence"] else "white",
            "token": canvas.mark(
                f"{in_words(row['segment_value'])}, {quarter_name(row['period_start'])}", row.figure("value"), "fine"
            ),
        }
        for row in rows
        if row["segment_value"] in channels
    ]
    order = [month_name(day) for day in starts]
    low, high = min(-0.1, *(point["value"] for point in points)), max(0.6, *(point["value"] for point in points))
    rows_of_charts = []
    names = [in_words(name) for name in channels]
    for place in range(0, len(names), 3):
        rows_of_charts.append(
            alt.hconcat(
                *[
                    _channel(
                        canvas,
                        [point for point in points if point["channel"] == name],
                        order,
                        [low, high],
                        name,
                        name == names[place],
                    )
                    for name in names[place : place + 3]
                ],
                spacing=10,
            )
        )
    return Picture(
        Markup("What each channel sounds like"),
        caption,
        [canvas.draw(alt.vconcat(*rows_of_charts, spacing=8), "Sentiment by channel")],
    )


def _channel(
    canvas: Canvas, points: list[dict[str, Any]], order: list[str], domain: list[float], name: str, is_first: bool
) -> alt.LayerChart:
    base = alt.Chart(canvas.data(points)).encode(
        x=alt.X(
            "quarter:N",
            sort=order,
            scale=alt.Scale(domain=order),
            axis=alt.Axis(title=None, labelAngle=0, values=[order[0], order[-1]], grid=False, labelFontSize=9),
        ),
        y=alt.Y(
            "value:Q",
            scale=alt.Scale(domain=domain),
            axis=alt.Axis(title=None, tickCount=3, format="+.1f", labels=is_first),
        ),
    )
    return alt.layer(
        base.mark_line(color=SKY),
        base.mark_point(size=26, opacity=1, stroke=BLUE).encode(
            fill=alt.Fill("fill:N", scale=None), description=alt.Description("token:N")
        ),
    ).properties(width=82, height=88, title=name)


def restatements(sheet: Sheet) -> Picture:
    """The largest changes of figures that had been published."""
    caption = "Closed figures that changed after they were first published, in total, by their newest period."
    rows = sheet.marts.read(
        "mart_restatements",
        ["kpi_id", *GRAIN],
        ["first_published_value", "current_value", "difference", "cause"],
        "segment_type = 'all'",
        order="period_start desc, kpi_id, period_type",
        limit=15,
    )
    if not rows:
        return nothing("Restatements", caption, "no published total has changed since it was first published", span=3)
    kpis = {
        kpi: (name, unit)
        for kpi, name, unit in sheet.marts.con.execute("select kpi_id, kpi_name, unit from dim_kpis").fetchall()
    }
    lines = Markup("").join(
        Markup('<tr><td>{}</td><td>{} {}</td><td class="num">{}</td><td class="num">{}</td><td>{}</td></tr>').format(
            kpi_link(row["kpi_id"], kpis[row["kpi_id"]][0]),
            row["period_type"],
            time(row["period_start"]),
            sheet.writer.show(row.figure("first_published_value"), kpis[row["kpi_id"]][1]),
            sheet.writer.show(row.figure("current_value"), kpis[row["kpi_id"]][1]),
            row["cause"],
        )
        for row in rows
    )
    table = Markup(
        '<div class="scroll"><table class="rows"><thead><tr><th>KPI</th><th>Period from</th><th class="num">First published</th>'
        '<th class="num">Now</th><th>Cause</th></tr></thead><tbody>{}</tbody></table></div>'
    ).format(lines)
    return Picture(Markup("What has been restated"), caption, [], table, span=3)


# The place of a KPI in the catalogue (`page 2, advocacy funnel`) names one of these.
SECOND_PAGE: dict[str, Callable[[Sheet], Picture]] = {
    "cohort retention triangle": cohorts,
    "expansion per CSM": expansion,
    "engagement band v churn": engagement,
    "service trends": service,
    "adoption heat map": adoption,
    "advocacy funnel": advocacy,
    "sentiment over time": sentiment,
    "restatements": restatements,
}
