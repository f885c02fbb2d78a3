"""Pictures of revenue: what moved it, what was kept, what is up for renewal, why customers left."""

from __future__ import annotations

from datetime import date
from typing import Any

import altair as alt
from markupsafe import Markup

from dashboard.marts import Row
from dashboard.sheet import GRAIN, MONTHS_SHOWN, WHOLE, Picture, Sheet, nothing
from dashboard.show import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    HEALTH,
    INK,
    LETTERS,
    MUTED,
    ORANGE,
    PANEL_WIDTH,
    PURPLE,
    SKY,
    VERMILLION,
    Canvas,
    Panel,
    Writer,
    in_words,
    month_name,
    time,
)

SEGMENTS_A_ROW = 4
MOVEMENT_COLOURS = {
    "new": GREEN,
    "returned": SKY,
    "expansion": BLUE,
    "contraction": ORANGE,
    "paused": PURPLE,
    "churn": VERMILLION,
    "fx": MUTED,
}
CHURN_COLOURS = {"voluntary": BLUE, "involuntary": SKY, "unknown": GREY}
REASONS_SHOWN = 12


def mrr(sheet: Sheet) -> Picture:
    """2: MRR waterfall of the last complete month, 13 months of movements with closing MRR above."""
    caption = (
        "Left: what took opening MRR to closing MRR. Right: the same movements of the last months; FX as a thin bar."
    )
    parts = {
        "opening": "opening_mrr",
        "new": "new_mrr",
        "returned": "reactivation_mrr + resume_mrr",
        "expansion": "expansion_mrr",
        "contraction": "-contraction_mrr",
        "paused": "-pause_mrr",
        "churn": "-churn_mrr",
        "fx": "fx_mrr",
        "closing": "closing_mrr",
        "net_new": "closing_mrr - opening_mrr",
    }
    rows = sheet.marts.read(
        "kpi_mrr",
        GRAIN,
        parts,
        f"{WHOLE} and period_type = 'month' and is_complete",
        order="period_start desc",
        limit=MONTHS_SHOWN,
    )[::-1]
    if not rows:
        return nothing("Recurring revenue", caption, "no complete month yet", span=2)
    last = rows[-1]
    verb = "grew" if last["net_new"] >= 0 else "shrank"
    title = Markup("MRR {} by {} to {} in {}").format(
        verb,
        sheet.writer.show(last.figure("net_new"), "money"),
        sheet.writer.show(last.figure("closing"), "money"),
        time(last["period_start"], month_name(last["period_start"], long=True)),
    )
    names = [name for name in parts if name != "net_new"]
    return Picture(title, caption, [_waterfall(sheet, last, names), _movements(sheet, rows, names[1:-1])], span=2)


def _waterfall(sheet: Sheet, row: Row, names: list[str]) -> Panel:
    canvas, steps, level = sheet.canvas(), [], 0.0
    for name in names:
        amount = float(row[name])
        start, level = (0.0, amount) if name in ("opening", "closing") else (level, level + amount)
        unit = "money" if name in ("opening", "closing") else "+money"
        token = canvas.mark(f"{name} MRR", row.figure(name), unit)
        steps.append(
            {
                "part": name,
                "from": start,
                "to": level,
                "right": max(start, level),
                "token": token,
                "text": sheet.writer.text(row[name], unit),
                "is_total": name in ("opening", "closing"),
            }
        )
    moving = [step for step in steps if not step["is_total"]]
    low = min([min(step["from"], step["to"]) for step in moving] + [step["to"] for step in steps])
    high = max(step["right"] for step in steps)
    reach = max(high - low, high * 0.02, 1.0)
    domain = [low - reach * 0.12, high + reach * 0.42]
    y = alt.Y(
        "part:N", sort=names, axis=alt.Axis(title=None, grid=False, labelColor=INK), scale=alt.Scale(padding=0.25)
    )
    x = alt.X(
        "from:Q",
        scale=alt.Scale(domain=domain, zero=False, nice=False),
        axis=sheet.money_axis(f"MRR, {sheet.writer.currency} (the axis does not start at zero)"),
    )
    colours = alt.Color(
        "part:N",
        scale=alt.Scale(domain=list(MOVEMENT_COLOURS), range=list(MOVEMENT_COLOURS.values())),
        legend=None,
    )
    base = alt.Chart(canvas.data(moving)).encode(y=y)
    bars = base.mark_bar(minBandSize=3).encode(
        x=x, x2=alt.X2("to"), color=colours, description=alt.Description("token:N")
    )
    totals = (
        alt.Chart(canvas.data([step for step in steps if step["is_total"]]))
        .mark_tick(thickness=5, color=INK, size=22)
        .encode(
            y=y,
            x=alt.X("to:Q", scale=alt.Scale(domain=domain, zero=False, nice=False)),
            description=alt.Description("token:N"),
        )
    )
    texts = (
        alt.Chart(canvas.data(steps))
        .mark_text(align="left", dx=6)
        .encode(y=y, x=alt.X("right:Q"), text=alt.Text("text:N"), description=alt.Description("token:N"))
    )
    chart = (totals + bars + texts).properties(width=PANEL_WIDTH - 90, height=300)
    return canvas.draw(chart, "Waterfall of monthly recurring revenue")


def _movements(sheet: Sheet, rows: list[Row], names: list[str]) -> Panel:
    canvas = sheet.canvas()
    months = [month_name(row["period_start"]) for row in rows]
    closing = [
        {
            "month": month,
            "closing": float(row["closing"]),
            "token": canvas.mark(f"closing MRR {month}", row.figure("closing"), "money"),
            "text": sheet.writer.text(row["closing"], "money") if row is rows[-1] else "",
        }
        for month, row in zip(months, rows, strict=True)
    ]
    stacked = [
        {
            "month": month,
            "movement": name,
            "amount": float(row[name]),
            "token": canvas.mark(f"{name} {month}", row.figure(name), "+money"),
        }
        for month, row in zip(months, rows, strict=True)
        for name in names
    ]
    shown_months = [month for place, month in enumerate(months) if (len(months) - 1 - place) % 3 == 0]
    x = alt.X(
        "month:N",
        sort=months,
        axis=alt.Axis(title=None, labelAngle=0, grid=False, values=shown_months),
        scale=alt.Scale(paddingInner=0.25),
    )
    line = alt.Chart(canvas.data(closing)).encode(
        x=alt.X("month:N", sort=months, axis=None),
        y=alt.Y("closing:Q", scale=alt.Scale(zero=False, padding=8), axis=sheet.money_axis("Closing MRR")),
    )
    upper = (
        line.mark_line(color=INK, strokeWidth=1.8)
        + line.mark_point(color=INK, filled=True, size=22).encode(description=alt.Description("token:N"))
        + line.mark_text(align="right", dy=-9, fontWeight=600)
        .encode(text=alt.Text("text:N"), description=alt.Description("token:N"))
        .transform_filter("datum.text != ''")
    ).properties(width=PANEL_WIDTH - 64, height=90)
    base = alt.Chart(canvas.data(stacked)).encode(x=x)
    amount = alt.Y("amount:Q", axis=sheet.money_axis("Movements a month"))
    domain = [name for name in names if name != "fx"]
    bars = (
        base.transform_filter("datum.movement != 'fx'")
        .mark_bar()
        .encode(
            y=amount,
            description=alt.Description("token:N"),
            order=alt.Order("rank:Q"),
            color=alt.Color(
                "movement:N",
                scale=alt.Scale(domain=[*domain, "fx"], range=[MOVEMENT_COLOURS[n] for n in [*domain, "fx"]]),
                legend=alt.Legend(columns=4, symbolType="square"),
            ),
        )
        .transform_calculate(rank=f"indexof({domain!r}, datum.movement)")
    )
    fx = (
        base.transform_filter("datum.movement == 'fx'")
        .mark_bar(size=3, xOffset=10, color=MUTED)
        .encode(y=amount, description=alt.Description("token:N"))
    )
    zero = alt.Chart(canvas.data([{}])).mark_rule(color=INK, strokeWidth=1).encode(y=alt.datum(0))
    lower = (bars + fx + zero).properties(width=PANEL_WIDTH - 64, height=170)
    return canvas.draw(alt.vconcat(upper, lower, spacing=8), "Movements of recurring revenue by month")


def retention(sheet: Sheet) -> Picture:
    """3: NRR and GRR over twelve months, in total and by segment."""
    caption = (
        "Windows of twelve months, by the month in which they end. Shaded: what expansion adds. Green: NRR at or above "
        "its target."
    )
    where = "period_type = 'ttm' and is_complete and segment_type in ('all', 'segment')"
    columns = ["value", "n", "is_suppressed"]
    net = sheet.marts.read("kpi_net_revenue_retention", GRAIN, columns, where)
    gross = sheet.marts.read("kpi_gross_revenue_retention", GRAIN, columns, where)
    starts = sorted({row["period_start"] for row in net})[-MONTHS_SHOWN:]
    rows = [
        (kpi, row)
        for kpi, group in (("NRR", net), ("GRR", gross))
        for row in group
        if row["period_start"] in starts and row["value"] is not None
    ]
    latest = [row for row in net if starts and row["period_start"] == starts[-1] and row["segment_type"] == "all"]
    if not latest or latest[0]["value"] is None:
        return nothing("Net and gross revenue retention", caption, "no complete window of twelve months yet")
    target = sheet.marts.read(
        "mart_kpi_values",
        ["kpi_id", *GRAIN],
        ["target"],
        f"kpi_id = 'net_revenue_retention' and period_type = 'ttm' and {WHOLE} and period_start = '{starts[-1]}'",
    )
    canvas = sheet.canvas()
    points = [
        {
            "end": ends(row["period_start"]),
            "kpi": kpi,
            "value": row["value"],
            "segment": in_words(row["segment_value"]),
            "token": canvas.mark(
                f"{kpi} {in_words(row['segment_value'])} {ends(row['period_start'])}", row.figure("value"), "ratio"
            ),
            "text": f"{kpi} {sheet.writer.text(row['value'], 'ratio')}" if row["period_start"] == starts[-1] else "",
        }
        for kpi, row in rows
        if not row["is_suppressed"]
    ]
    order = [ends(day) for day in starts]
    whole = [point for point in points if point["segment"] == "all"]
    chart = _retention_lines(whole, order, target, sheet.writer, canvas)
    charts: list[alt.TopLevelMixin] = [chart]
    segments = sorted({point["segment"] for point in points} - {"all"})
    domain = [min(point["value"] for point in points) - 0.03, max(point["value"] for point in points) + 0.03]
    for start in range(0, len(segments), SEGMENTS_A_ROW):
        small = [
            _small_lines(
                [point for point in points if point["segment"] == segment], order, domain, segment, canvas, place == 0
            )
            for place, segment in enumerate(segments[start : start + SEGMENTS_A_ROW])
        ]
        charts.append(alt.hconcat(*small, spacing=12))
    hidden = sorted({in_words(row["segment_value"]) for _, row in rows if row["is_suppressed"]})
    notes = Markup("")
    if hidden:
        notes = Markup('<p class="why">Left out where fewer than three customers opened the window: {}.</p>').format(
            ", ".join(hidden)
        )
    title = Markup("Customers of a year ago bring {} of what they brought then").format(
        sheet.writer.show(latest[0].figure("value"), "ratio")
    )
    panel = canvas.draw(alt.vconcat(*charts, spacing=14), "Net and gross revenue retention")
    return Picture(title, caption, [panel], notes)


def _retention_lines(
    points: list[dict[str, Any]], order: list[str], target: list[Row], writer: Writer, canvas: Canvas
) -> alt.LayerChart:
    values = [point["value"] for point in points]
    goal = target[0]["target"] if target else None
    low, high = min([*values, goal or 1.0]) - 0.03, max([*values, goal or 1.0]) + 0.05
    y_scale = alt.Scale(domain=[low, high], zero=False, nice=False)
    y = alt.Y("value:Q", scale=y_scale, axis=alt.Axis(title="Share of opening MRR", format=".0%", tickCount=5))
    x = alt.X(
        "end:N",
        sort=order,
        axis=alt.Axis(title=None, labelAngle=0, grid=False, values=order[::-1][::3]),
        scale=alt.Scale(padding=0.2),
    )
    layers = []
    if goal is not None:
        band = alt.Chart(canvas.data([{"low": goal, "high": high}]))
        layers.append(
            band.mark_rect(color=GREEN, opacity=0.10).encode(y=alt.Y("low:Q", scale=y_scale), y2=alt.Y2("high"))
        )
        token = canvas.mark("NRR target", target[0].figure("target"), "ratio")
        rule = alt.Chart(
            canvas.data(
                [{"goal": goal, "token": token, "text": f"target {writer.text(goal, 'ratio')}", "end": order[0]}]
            )
        )
        layers.append(
            rule.mark_rule(color=GREEN, strokeDash=[4, 3]).encode(
                y=alt.Y("goal:Q"), description=alt.Description("token:N")
            )
        )
        layers.append(
            rule.mark_text(align="left", dy=-7, color="#00664b").encode(
                y=alt.Y("goal:Q"), x=x, text=alt.Text("text:N"), description=alt.Description("token:N")
            )
        )
    pairs: dict[str, dict[str, Any]] = {}
    for point in points:
        pairs.setdefault(point["end"], {"end": point["end"]})[point["kpi"]] = point["value"]
    layers.append(
        alt.Chart(canvas.data([pair for pair in pairs.values() if len(pair) == 3]))
        .mark_area(color=SKY, opacity=0.22)
        .encode(x=x, y=alt.Y("GRR:Q", scale=y_scale), y2=alt.Y2("NRR"))
    )
    lines = alt.Chart(canvas.data(points)).encode(
        x=x,
        y=y,
        color=alt.Color("kpi:N", scale=alt.Scale(domain=["NRR", "GRR"], range=[BLUE, INK]), legend=None),
    )
    layers += [
        lines.mark_line(strokeWidth=2),
        lines.mark_point(filled=True, size=20).encode(description=alt.Description("token:N")),
        lines.transform_filter("datum.text != ''")
        .mark_text(align="right", dy=-10, fontWeight=600)
        .encode(text=alt.Text("text:N"), description=alt.Description("token:N")),
    ]
    return alt.layer(*layers).properties(width=PANEL_WIDTH - 64, height=165)


def _small_lines(
    points: list[dict[str, Any]], order: list[str], domain: list[float], name: str, canvas: Canvas, is_first: bool
) -> alt.LayerChart:
    lines = alt.Chart(canvas.data(points)).encode(
        x=alt.X("end:N", sort=order, axis=None, scale=alt.Scale(domain=order)),
        y=alt.Y(
            "value:Q",
            scale=alt.Scale(domain=domain, zero=False),
            axis=alt.Axis(title=None, format=".0%", tickCount=3, labels=is_first),
        ),
        color=alt.Color("kpi:N", scale=alt.Scale(domain=["NRR", "GRR"], range=[BLUE, INK]), legend=None),
    )
    last = lines.transform_filter("datum.text != ''")
    return alt.layer(
        lines.mark_line(strokeWidth=1.6),
        last.mark_point(filled=True, size=18).encode(description=alt.Description("token:N")),
    ).properties(width=78, height=78, title=name)


def ends(day: date) -> str:
    """The month in which a window of twelve months ends."""
    last = date(day.year + (day.month + 10) // 12, (day.month + 10) % 12 + 1, 1)
    return month_name(last)


def renewals(sheet: Sheet) -> Picture:
    """5: renewals of the next six months by health colour, with the three largest that are not green."""
    caption = "ARR of the terms due, by health colour; below each bar the three largest that are not green."
    where = (
        f"outcome = 'upcoming' and due_date > '{sheet.marts.as_of}' and due_date <= date '{sheet.marts.as_of}' + "
        "interval 6 month"
    )
    key = {"month": "cast(date_trunc('month', due_date) as date)", "colour": "coalesce(health_colour, 'unknown')"}
    rows = sheet.marts.read(
        "fct_renewals", key, {"arr": "sum(renewable_arr)", "terms": "count(*)"}, where, grouped=True
    )
    if not rows:
        return nothing("Renewals of the next six months", caption, "no contract term is due in the next six months")
    whole = sheet.marts.read(
        "fct_renewals",
        {"outcome": "outcome"},
        {"arr": "sum(renewable_arr)", "risky": "sum(renewable_arr) filter (health_colour is distinct from 'green')"},
        where,
        grouped=True,
    )[0]
    largest = sheet.marts.con.execute(
        f"""select cast(date_trunc('month', due_date) as date), account_name, coalesce(health_colour, 'unknown')
        from fct_renewals where {where} and health_colour is distinct from 'green'
        qualify row_number() over (partition by date_trunc('month', due_date)
            order by renewable_arr desc, term_id) <= 3
        order by 1, renewable_arr desc, term_id"""
    ).fetchall()
    canvas = sheet.canvas()
    names: dict[date, list[str]] = {}
    for month, account, colour in largest:
        short = account if len(account) <= 17 else account[:16] + "…"
        names.setdefault(month, []).append(f"{LETTERS[colour]} {short}")
    bars = [
        {
            "month": month_name(row["month"]),
            "colour": row["colour"],
            "arr": float(row["arr"]),
            "rank": COLOURS.index(row["colour"]),
            "token": canvas.mark(f"ARR due {month_name(row['month'])}, {row['colour']}", row.figure("arr"), "money"),
        }
        for row in rows
    ]
    months = sorted({row["month"] for row in rows})
    order = [month_name(month) for month in months]
    labels = [
        {"month": month_name(month), "names": " · ".join(names.get(month, ["none but green"]))} for month in months
    ]
    base = alt.Chart(canvas.data(bars))
    y = alt.Y(
        "month:N",
        sort=order,
        axis=alt.Axis(title=None, labelColor=INK, grid=False, labelOffset=-7),
        scale=alt.Scale(padding=0.1),
    )
    chart = (
        base.mark_bar(height=14, yOffset=-7, stroke="white").encode(
            y=y,
            x=alt.X("arr:Q", axis=sheet.money_axis("Renewable ARR")),
            description=alt.Description("token:N"),
            order=alt.Order("rank:Q"),
            color=alt.Color(
                "colour:N",
                scale=alt.Scale(domain=list(HEALTH), range=list(HEALTH.values())),
                legend=alt.Legend(
                    labelExpr="upper(slice(datum.label, 0, 1)) + ' ' + datum.label",
                    symbolType="square",
                    values=[
                        colour
                        for colour in ("red", "yellow", "green", "unknown")
                        if colour in {bar["colour"] for bar in bars}
                    ],
                ),
            ),
        )
        + alt.Chart(canvas.data(labels))
        .mark_text(align="left", dy=11, fontSize=9.5, color=MUTED)
        .encode(y=y, x=alt.value(2), text=alt.Text("names:N"))
    ).properties(width=PANEL_WIDTH - 70, height=alt.Step(42))
    title = Markup("{} of {} ARR due in six months is not green").format(
        sheet.writer.show(whole.figure("risky"), "money"), sheet.writer.show(whole.figure("arr"), "money")
    )
    return Picture(title, caption, [canvas.draw(chart, "Renewals of the next six months")])


def churn_reasons(sheet: Sheet) -> Picture:
    """7: why customers left in the last twelve months, by ARR."""
    caption = (
        "ARR lost in the last twelve complete months. Right: lost accounts that were red 30 days before, of all lost."
    )
    if sheet.month is None:
        return nothing("Why customers left", caption, "no complete month yet")
    where = f"segment_value = 'all' and month <= '{sheet.month}' and month > date '{sheet.month}' - interval 12 month"
    columns = {
        "arr": "sum(12 * churned_mrr)",
        "logos": "cast(sum(churned_logos) as bigint)",
        "red": "cast(sum(had_red_health_30d_before) as bigint)",
    }
    mart, reason = "mart_churn_reasons", {"reason": "cancel_reason"}
    reasons = sheet.marts.read(
        mart, reason, columns, where, grouped=True, order="arr desc, reason", limit=REASONS_SHOWN
    )
    if not reasons:
        return nothing("Why customers left", caption, "nobody left in the last twelve months")
    whole = sheet.marts.read(mart, {"scope": "segment_value"}, columns, where, grouped=True)[0]
    kinds = sheet.marts.read(mart, reason | {"kind": "cancel_type"}, columns, where, grouped=True)
    canvas = sheet.canvas()
    labels = [
        {
            "reason": in_words(row["reason"]),
            "arr": float(row["arr"]),
            "token": canvas.mark(f"ARR lost: {in_words(row['reason'])}", row.figure("arr"), "money"),
            "text": sheet.writer.text(row["arr"], "money"),
            "red": f"{row['red']:,}",
            "red_token": canvas.mark(f"red before: {in_words(row['reason'])}", row.figure("red"), "count"),
            "logos": f"of {row['logos']:,}",
            "logos_token": canvas.mark(f"accounts lost: {in_words(row['reason'])}", row.figure("logos"), "count"),
        }
        for row in reasons
    ]
    shown = {row["reason"] for row in reasons}
    bars = [
        {
            "reason": in_words(row["reason"]),
            "kind": row["kind"],
            "rank": list(CHURN_COLOURS).index(row["kind"]),
            "arr": float(row["arr"]),
            "token": canvas.mark(f"ARR lost: {in_words(row['reason'])}, {row['kind']}", row.figure("arr"), "money"),
        }
        for row in kinds
        if row["reason"] in shown
    ]
    top = max(label["arr"] for label in labels) or 1.0
    width = PANEL_WIDTH - 120
    x = alt.X("arr:Q", scale=alt.Scale(domain=[0, top * 1.75], nice=False), axis=sheet.money_axis("ARR lost"))
    y = alt.Y(
        "reason:N",
        sort=[label["reason"] for label in labels],
        axis=alt.Axis(title=None, labelColor=INK, grid=False, labelLimit=108),
    )
    base = alt.Chart(canvas.data(labels)).encode(y=y)
    chart = (
        alt.Chart(canvas.data(bars))
        .mark_bar(height=13)
        .encode(
            x=x,
            y=y,
            order=alt.Order("rank:Q"),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=list(CHURN_COLOURS), range=list(CHURN_COLOURS.values())),
                legend=alt.Legend(
                    symbolType="square",
                    values=[kind for kind in CHURN_COLOURS if kind in {bar["kind"] for bar in bars}],
                ),
            ),
            description=alt.Description("token:N"),
        )
        + base.mark_text(align="left", dx=4).encode(
            x=x, text=alt.Text("text:N"), description=alt.Description("token:N")
        )
        + base.mark_text(align="right", fontWeight=600, color="#a04500").encode(
            x=alt.value(width - 32), text=alt.Text("red:N"), description=alt.Description("red_token:N")
        )
        + base.mark_text(align="left", color=MUTED).encode(
            x=alt.value(width - 28), text=alt.Text("logos:N"), description=alt.Description("logos_token:N")
        )
        + alt.Chart(canvas.data([{"t": "red before"}]))
        .mark_text(align="right", color=MUTED, fontSize=10)
        .encode(x=alt.value(width), y=alt.value(-7), text=alt.Text("t:N"))
    ).properties(width=width, height=alt.Step(27))
    title = Markup("{} of {} ARR lost in a year went for one reason: {}").format(
        sheet.writer.show(reasons[0].figure("arr"), "money"),
        sheet.writer.show(whole.figure("arr"), "money"),
        in_words(reasons[0]["reason"]),
    )
    return Picture(title, caption, [canvas.draw(chart, "Reasons of churn by ARR")])
