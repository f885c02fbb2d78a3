"""The twelve pictures of the first page. Each function reads its mart and gives a `Picture`; an empty mart gives the
reason instead of a drawing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import altair as alt
from markupsafe import Markup

from dashboard.links import account_link
from dashboard.marts import Marts, Row
from dashboard.show import (
    BLUE,
    GREEN,
    GREY,
    HEALTH,
    INK,
    LETTERS,
    LIGHT,
    MUTED,
    ORANGE,
    PANEL_WIDTH,
    PURPLE,
    SKY,
    VERMILLION,
    Canvas,
    Panel,
    Writer,
    colour_badge,
    in_words,
    month_name,
    quarter_name,
    time,
)

COLOURS = ("red", "yellow", "green", "unknown")
GRAIN = ("period_type", "period_start", "segment_type", "segment_value")
WHOLE = "segment_type = 'all'"
FEW_ACCOUNTS = 3
# below it the colour alone tells too little to act on
LEAST_AUC = 0.6
MONTHS_SHOWN = 13
SEGMENTS_A_ROW = 4
# rows of the grid: more can't be read, and thousands can't be drawn
CSMS_SHOWN = 24
PLOT_HEIGHT = 300
Z95 = 1.959964


@dataclass(frozen=True)
class Picture:
    """A picture of a page: its title says what one sees, the caption how to read it."""

    title: Markup
    caption: str
    panels: Sequence[Panel] = ()
    notes: Markup = field(default_factory=Markup)
    span: int = 1


@dataclass(frozen=True)
class Sheet:
    """What pictures are drawn from."""

    marts: Marts
    writer: Writer
    kpi_names: dict[str, str] = field(default_factory=dict)

    def canvas(self) -> Canvas:
        return Canvas(self.writer)

    def money_axis(self, title: str, **options: Any) -> alt.Axis:
        """An axis in thousands or millions of the reporting currency."""
        amount = "replace(format(abs(datum.value), '~s'), 'G', 'bn')"
        expression = f"(datum.value < 0 ? '−' : '') + '{self.writer.symbol}' + {amount}"
        return alt.Axis(title=title, labelExpr=expression, tickCount=5, **options)

    def last_complete(self, period_type: str) -> date | None:
        """The start of the last complete month, quarter or window of twelve months."""
        return self.marts.scalar(
            "select max(period_start) from mart_kpi_values where is_complete and "
            f"period_type = '{period_type}' and segment_type = 'all'"
        )

    @cached_property
    def month(self) -> date | None:
        return self.last_complete("month")

    @cached_property
    def quarter(self) -> date | None:
        return self.last_complete("quarter")

    @cached_property
    def window(self) -> date | None:
        return self.last_complete("ttm")


def nothing(title: str, caption: str, reason: str, span: int = 1) -> Picture:
    """A picture that can't be drawn yet."""
    return Picture(Markup(title), caption, [Panel(None, reason=reason)], span=span)


def ends(day: date) -> str:
    """The month in which a window of twelve months ends."""
    last = date(day.year + (day.month + 10) // 12, (day.month + 10) % 12 + 1, 1)
    return month_name(last)


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


MOVEMENT_COLOURS = {
    "new": GREEN,
    "returned": SKY,
    "expansion": BLUE,
    "contraction": ORANGE,
    "paused": PURPLE,
    "churn": VERMILLION,
    "fx": MUTED,
}


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


def health(sheet: Sheet) -> Picture:
    """4: ARR by health colour and segment; the grid of colours then and now."""
    caption = (
        "Left: share of ARR by colour, with the number of accounts. Right: ARR by colour then (rows) and now (columns)."
    )
    today = sheet.marts.scalar("select max(score_date) from fct_health_scores")
    if today is None:
        return nothing("Health of the customers", caption, "no health score yet", span=2)
    key = {
        "score_date": "score_date",
        "segment": "coalesce(segment, 'unknown')",
        "colour": "coalesce(colour, 'unknown')",
    }
    sums = {"arr": "sum(12 * current_mrr)", "accounts": "count(*)"}
    by_segment = sheet.marts.read("fct_health_scores", key, sums, f"score_date = '{today}'", grouped=True)
    del key["segment"]
    whole = sheet.marts.read("fct_health_scores", key, sums, f"score_date = '{today}'", grouped=True)
    then = sheet.marts.scalar(
        f"select max(score_date) from fct_health_scores where score_date <= date '{today}' - interval 30 day"
    )
    red = next((row for row in whole if row["colour"] == "red"), None)
    if red is None:
        title = Markup("No customer is red on {}").format(time(today))
    else:
        title = Markup("{} accounts with {} ARR are red on {}").format(
            sheet.writer.show(red.figure("accounts"), "count"),
            sheet.writer.show(red.figure("arr"), "money"),
            time(today),
        )
    panels = [_health_bars(sheet, whole, by_segment)]
    panels.append(
        _health_grid(sheet, today, then) if then else Panel(None, reason="no score that is 30 days old to compare with")
    )
    return Picture(title, caption, panels, span=2)


def _health_bars(sheet: Sheet, whole: list[Row], by_segment: list[Row]) -> Panel:
    canvas, bars = sheet.canvas(), []
    for row in [*whole, *by_segment]:
        segment = in_words(row["segment"]) if "segment" in row else "all"
        label = f"{segment}, {row['colour']}"
        bars.append(
            {
                "segment": segment,
                "colour": row["colour"],
                "arr": float(row["arr"]),
                "rank": COLOURS.index(row["colour"]),
                "letter": LETTERS[row["colour"]],
                "arr_token": canvas.mark(f"ARR {label}", row.figure("arr"), "money"),
                "token": canvas.mark(f"accounts {label}", row.figure("accounts"), "count"),
                "text": f"{LETTERS[row['colour']]} {row['accounts']:,}",
            }
        )
    for segment in {bar["segment"] for bar in bars}:
        parts = sorted((bar for bar in bars if bar["segment"] == segment), key=lambda bar: bar["rank"])
        total, reached = sum(bar["arr"] for bar in parts) or 1.0, 0.0
        for bar in parts:
            bar["low"], reached = reached, reached + bar["arr"] / total
            bar["high"], bar["middle"] = reached, (bar["low"] + reached) / 2
            bar["fits"] = bar["high"] - bar["low"] > 0.024 * len(bar["text"])
    order = ["all", *sorted({bar["segment"] for bar in bars} - {"all"})]
    base = alt.Chart(canvas.data(bars)).encode(
        y=alt.Y("segment:N", sort=order, axis=alt.Axis(title=None, labelColor=INK, grid=False))
    )
    rectangles = base.mark_bar(stroke="white").encode(
        x=alt.X(
            "low:Q", axis=alt.Axis(title="Share of ARR", format=".0%", tickCount=5), scale=alt.Scale(domain=[0, 1])
        ),
        x2=alt.X2("high"),
        description=alt.Description("arr_token:N"),
        color=alt.Color("colour:N", scale=alt.Scale(domain=list(HEALTH), range=list(HEALTH.values())), legend=None),
    )
    texts = (
        base.transform_filter("datum.fits")
        .mark_text(fontWeight=600)
        .encode(
            x=alt.X("middle:Q"),
            text=alt.Text("text:N"),
            description=alt.Description("token:N"),
            color=alt.condition(
                "datum.colour == 'yellow' || datum.colour == 'unknown'", alt.value(INK), alt.value("white")
            ),
        )
    )
    chart = (rectangles + texts).properties(width=PANEL_WIDTH - 96, height=alt.Step(52))
    return canvas.draw(chart, "ARR by health colour and segment")


def _health_grid(sheet: Sheet, today: date, then: date) -> Panel:
    canvas = sheet.canvas()
    cells = sheet.marts.read(
        "fct_health_scores as today join fct_health_scores as earlier using (account_id)",
        {"then": "coalesce(earlier.colour, 'unknown')", "now": "coalesce(today.colour, 'unknown')"},
        {"arr": "sum(12 * today.current_mrr)", "accounts": "count(*)"},
        f"today.score_date = '{today}' and earlier.score_date = '{then}'",
        grouped=True,
    )
    rows = [
        {
            "then": f"{LETTERS[cell['then']]} {cell['then']}",
            "now": f"{LETTERS[cell['now']]} {cell['now']}",
            "arr": float(cell["arr"]),
            "kind": _turn(cell["then"], cell["now"]),
            "text": sheet.writer.text(cell["arr"], "money"),
            "token": canvas.mark(f"ARR {cell['then']} then, {cell['now']} now", cell.figure("arr"), "money"),
            "count": f"{cell['accounts']:,} acc.",
            "count_token": canvas.mark(
                f"accounts {cell['then']} then, {cell['now']} now", cell.figure("accounts"), "count"
            ),
        }
        for cell in cells
    ]
    if not rows:
        return Panel(None, reason="no account was scored on both days")
    order = [f"{LETTERS[colour]} {colour}" for colour in ("green", "yellow", "red", "unknown")]
    base = alt.Chart(canvas.data(rows)).encode(
        x=alt.X(
            "now:N",
            sort=order,
            axis=alt.Axis(title=f"colour on {today}", orient="top", labelAngle=0, grid=False, labelColor=INK),
        ),
        y=alt.Y("then:N", sort=order, axis=alt.Axis(title=f"colour on {then}", grid=False, labelColor=INK)),
    )
    kinds = alt.Scale(domain=["same", "worse", "better", "unscored"], range=[LIGHT, "#f6cdb0", "#bfe6d8", "#d5d9df"])
    chart = (
        base.mark_rect(stroke="white", strokeWidth=2).encode(
            color=alt.Color("kind:N", scale=kinds, legend=alt.Legend(orient="bottom")),
            description=alt.Description("token:N"),
        )
        + base.mark_text(dy=-6, fontWeight=600, fontSize=12).encode(
            text=alt.Text("text:N"), description=alt.Description("token:N")
        )
        + base.mark_text(dy=9, color=MUTED).encode(
            text=alt.Text("count:N"), description=alt.Description("count_token:N")
        )
    ).properties(width=PANEL_WIDTH - 100, height=alt.Step(66))
    return canvas.draw(chart, "ARR by health colour then and now")


def _turn(then: str, now: str) -> str:
    """Whether a health colour got better; of what has no score on one of the two days nobody knows."""
    if now == then:
        return "same"
    if "unknown" in (then, now):
        return "unscored"
    return "worse" if COLOURS.index(now) < COLOURS.index(then) else "better"


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


def nps(sheet: Sheet) -> Picture:
    """6: NPS by quarter with its interval, the answers, and what either side talks about."""
    caption = (
        "Dot: NPS; bar: 95 % interval; n: answers. Lines at 0, 50 and 70. Below: who answered. Grey: not over yet or few "
        "answers."
    )
    columns = [
        "value",
        "ci_low",
        "ci_high",
        "n",
        "promoters",
        "passives",
        "detractors",
        "is_complete",
        "is_low_confidence",
        "is_significant_change",
        "change",
        "top_promoter_themes",
        "top_detractor_themes",
    ]
    rows = sheet.marts.read(
        "kpi_net_promoter_score", GRAIN, columns, f"{WHOLE} and period_type = 'quarter'", order="period_start"
    )[-8:]
    shown = [row for row in rows if row["value"] is not None]
    complete = [row for row in shown if row["is_complete"]]
    if not complete:
        return nothing("Net promoter score", caption, "no complete quarter with enough answers yet")
    canvas = sheet.canvas()
    order = [quarter_name(row["period_start"]) for row in rows]
    short = {quarter_name(row["period_start"]): month_name(row["period_start"]) for row in rows}
    points = [
        {
            "quarter": quarter_name(row["period_start"]),
            "value": row["value"],
            "low": row["ci_low"],
            "high": row["ci_high"],
            "colour": INK if row["is_complete"] and not row["is_low_confidence"] else GREY,
            "token": canvas.mark(f"NPS {quarter_name(row['period_start'])}", row.figure("value"), "score"),
            "low_token": canvas.mark(
                f"NPS {quarter_name(row['period_start'])}, low end", row.figure("ci_low"), "score"
            ),
            "text": sheet.writer.text(row["value"], "score"),
            "n": f"n {row['n']:,}",
            "n_token": canvas.mark(f"answers {quarter_name(row['period_start'])}", row.figure("n"), "count"),
        }
        for row in shown
    ]
    answers = [
        {
            "quarter": quarter_name(row["period_start"]),
            "side": side,
            "count": row[side],
            "rank": rank,
            "token": canvas.mark(f"{side} {quarter_name(row['period_start'])}", row.figure(side), "count"),
        }
        for row in rows
        for rank, side in enumerate(("detractors", "passives", "promoters"))
    ]
    low = min([0.0, *(point["low"] for point in points)]) - 12
    high = max([75.0, *(point["high"] for point in points)]) + 5
    labels = "{" + ", ".join(f"'{name}': '{month}'" for name, month in short.items()) + "}[datum.value]"
    x = alt.X("quarter:N", sort=order, axis=None)
    y_scale = alt.Scale(domain=[low, high], nice=False)
    bands = alt.Chart(canvas.data([{"at": 0}, {"at": 50}, {"at": 70}]))
    dots = alt.Chart(canvas.data(points)).encode(x=x)
    upper = alt.layer(
        bands.mark_rule(color=GREY, strokeDash=[3, 3]).encode(y=alt.Y("at:Q", scale=y_scale)),
        dots.mark_rule(strokeWidth=5, opacity=0.35).encode(
            y=alt.Y("low:Q", scale=y_scale, axis=alt.Axis(title="NPS, points", values=[-50, 0, 50, 70], grid=False)),
            y2=alt.Y2("high"),
            description=alt.Description("low_token:N"),
            color=alt.Color("colour:N", scale=None),
        ),
        dots.mark_point(filled=True, size=70).encode(
            y=alt.Y("value:Q"), description=alt.Description("token:N"), color=alt.Color("colour:N", scale=None)
        ),
        dots.mark_text(dx=8, align="left", fontSize=10.5, fontWeight=600).encode(
            y=alt.Y("value:Q"), text=alt.Text("text:N"), description=alt.Description("token:N")
        ),
        dots.mark_text(color=MUTED, fontSize=10).encode(
            y=alt.value(152), text=alt.Text("n:N"), description=alt.Description("n_token:N")
        ),
    ).properties(width=PANEL_WIDTH - 66, height=160)
    lower = (
        alt.Chart(canvas.data(answers))
        .mark_bar(stroke="white")
        .encode(
            x=alt.X(
                "quarter:N",
                sort=order,
                axis=alt.Axis(title="quarter that starts in", labelAngle=0, labelExpr=labels, grid=False),
            ),
            y=alt.Y("count:Q", axis=alt.Axis(title="Answers", tickCount=3)),
            color=alt.Color(
                "side:N",
                legend=alt.Legend(orient="bottom", symbolType="square", symbolStrokeWidth=0),
                scale=alt.Scale(domain=["promoters", "passives", "detractors"], range=[GREEN, LIGHT, VERMILLION]),
            ),
            order=alt.Order("rank:Q"),
            description=alt.Description("token:N"),
        )
        .properties(width=PANEL_WIDTH - 66, height=90)
    )
    last = complete[-1]
    title = Markup("NPS is {} in {}").format(
        sheet.writer.show(last.figure("value"), "score"), time(last["period_start"], quarter_name(last["period_start"]))
    )
    if last["change"] is not None:
        beyond = "more than chance" if last["is_significant_change"] else "which may be chance"
        title += Markup(", {} on the quarter before, {}").format(
            sheet.writer.show(last.figure("change"), "+score"), beyond
        )
    notes = Markup("")
    if last["is_low_confidence"]:
        notes += Markup('<p class="why">Few answers (n = {}): read with care.</p>').format(
            sheet.writer.show(last.figure("n"), "count")
        )
    notes += Markup(
        '<dl class="themes"><dt>Promoters talk about</dt><dd {}>{}</dd><dt>Detractors talk about</dt><dd {}>{}</dd></dl>'
    ).format(
        _text_origin(last, "top_promoter_themes"),
        last["top_promoter_themes"] or "nothing that was classified",
        _text_origin(last, "top_detractor_themes"),
        last["top_detractor_themes"] or "nothing that was classified",
    )
    return Picture(title, caption, [canvas.draw(alt.vconcat(upper, lower, spacing=4), "NPS by quarter")], notes)


def _text_origin(row: Row, column: str) -> Markup:
    figure = row.figure(column)
    return Markup('class="words" data-text-mart="{}" data-column="{}" data-key="{}"').format(
        figure.mart, figure.column, figure.key_json
    )


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
    keys = {"reason": "cancel_reason", "kind": "cancel_type"}
    rows = sheet.marts.read("mart_churn_reasons", keys, columns, where, grouped=True, order="arr desc, reason, kind")
    if not rows:
        return nothing("Why customers left", caption, "nobody left in the last twelve months")
    whole = sheet.marts.read("mart_churn_reasons", {"scope": "segment_value"}, columns, where, grouped=True)[0]
    canvas = sheet.canvas()
    bars = [
        {
            "reason": f"{in_words(row['reason'])}",
            "row": f"{place}",
            "kind": row["kind"] or "unknown",
            "arr": float(row["arr"]),
            "token": canvas.mark(f"ARR lost: {in_words(row['reason'])}", row.figure("arr"), "money"),
            "text": sheet.writer.text(row["arr"], "money"),
            "red": f"{row['red']:,}",
            "red_token": canvas.mark(f"red before: {in_words(row['reason'])}", row.figure("red"), "count"),
            "logos": f"of {row['logos']:,}",
            "logos_token": canvas.mark(f"accounts lost: {in_words(row['reason'])}", row.figure("logos"), "count"),
        }
        for place, row in enumerate(rows[:12])
    ]
    order = list(dict.fromkeys(bar["reason"] for bar in bars))
    top = max(bar["arr"] for bar in bars) or 1.0
    width = PANEL_WIDTH - 120
    base = alt.Chart(canvas.data(bars)).encode(
        y=alt.Y("reason:N", sort=order, axis=alt.Axis(title=None, labelColor=INK, grid=False, labelLimit=108))
    )
    chart = (
        base.mark_bar(height=13).encode(
            x=alt.X("arr:Q", scale=alt.Scale(domain=[0, top * 1.75], nice=False), axis=sheet.money_axis("ARR lost")),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=["voluntary", "involuntary", "unknown"], range=[BLUE, SKY, GREY]),
                legend=alt.Legend(symbolType="square", values=sorted({bar["kind"] for bar in bars}, reverse=True)),
            ),
            description=alt.Description("token:N"),
        )
        + base.mark_text(align="left", dx=4).encode(
            x=alt.X("arr:Q"), text=alt.Text("text:N"), description=alt.Description("token:N")
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
        sheet.writer.show(rows[0].figure("arr"), "money"),
        sheet.writer.show(whole.figure("arr"), "money"),
        in_words(rows[0]["reason"]),
    )
    return Picture(title, caption, [canvas.draw(chart, "Reasons of churn by ARR")])


def pain_points(sheet: Sheet) -> Picture:
    """8: themes of feedback by growth, mood and money."""
    caption = "Low and to the right is bad and growing. Size: ARR of the accounts that spoke of it. Dark ring: an action is open."
    month = sheet.marts.scalar(
        f"select max(month) from mart_feedback_themes where month <= '{sheet.month or '0001-01-01'}'"
    )
    rows = sheet.marts.read(
        "mart_feedback_themes",
        ["month", "theme", "source"],
        ["n_items_change", "mean_sentiment", "arr_affected", "open_action_id", "impact_rank", "negative_share"],
        f"month = '{month}' and source = 'all' and theme <> 'unclassified' and mean_sentiment is not null and n_items > 0",
        order="arr_affected desc, theme",
    )
    if not rows:
        return nothing("What customers talk about", caption, "no feedback with a theme in a complete month yet")
    canvas = sheet.canvas()
    bubbles = []
    for row in rows:
        theme = in_words(row["theme"])
        token = canvas.mark(f"{theme}: mean sentiment", row.figure("mean_sentiment"), "fine")
        canvas.mark(f"{theme}: change in items", row.figure("n_items_change"), "+count")
        canvas.mark(f"{theme}: ARR affected", row.figure("arr_affected"), "money")
        bubbles.append(
            {
                "theme": theme,
                "change": row["n_items_change"],
                "mood": row["mean_sentiment"],
                "arr": float(row["arr_affected"]),
                "token": token,
                "ring": INK if row["open_action_id"] else "transparent",
                "fill": VERMILLION if row["mean_sentiment"] < 0 else SKY,
            }
        )
    y_domain = _spread_labels(bubbles)
    base = alt.Chart(canvas.data(bubbles)).encode(
        x=alt.X(
            "change:Q",
            scale=alt.Scale(padding=34),
            axis=alt.Axis(title="change in items on the month before", format="+d", tickMinStep=1),
        ),
        y=alt.Y(
            "mood:Q",
            scale=alt.Scale(domain=y_domain, nice=False),
            axis=alt.Axis(title="mean sentiment, −1 to +1", format="+.1f"),
        ),
    )
    chart = (
        base.mark_point(filled=True, strokeWidth=2.2, fillOpacity=0.6).encode(
            size=alt.Size("arr:Q", scale=alt.Scale(range=[40, 1100]), legend=None),
            fill=alt.Fill("fill:N", scale=None),
            stroke=alt.Stroke("ring:N", scale=None),
            description=alt.Description("token:N"),
        )
        + base.mark_text(fontSize=10.5).encode(y=alt.Y("label_at:Q"), text=alt.Text("theme:N"))
    ).properties(width=PANEL_WIDTH - 60, height=PLOT_HEIGHT)
    worst = min(rows, key=lambda row: (row["impact_rank"] is None, row["impact_rank"] or 0))
    title = Markup("What customers talk about")
    if worst["negative_share"]:
        title = Markup("{} hurts most revenue: {} ARR in {}").format(
            in_words(worst["theme"]).capitalize(),
            sheet.writer.show(worst.figure("arr_affected"), "money"),
            time(month, month_name(month, long=True)),
        )
    [whole] = sheet.marts.read(
        "kpi_feedback_sentiment",
        GRAIN,
        ["unclassified_share"],
        f"{WHOLE} and period_type = 'month' and period_start = '{month}'",
    )
    notes = Markup('<p class="small muted">Without a theme, and not drawn: {} of the feedback of {}.</p>').format(
        sheet.writer.show(whole.figure("unclassified_share"), "share"), time(month, month_name(month, long=True))
    )
    return Picture(title, caption, [canvas.draw(chart, "Themes of feedback")], notes)


def _spread_labels(bubbles: list[dict[str, Any]]) -> list[float]:
    """Set labels of bubbles that lie close together at different heights; returns the domain of the y axis."""
    moods, changes = [bubble["mood"] for bubble in bubbles], [bubble["change"] for bubble in bubbles]
    margin = ((max(moods) - min(moods)) or 1.0) * 0.14
    low, high = min(moods) - margin, max(moods) + margin
    width, unit = (max(changes) - min(changes)) or 1.0, (high - low) / PLOT_HEIGHT
    taken: list[tuple[float, float]] = []
    for bubble in sorted(bubbles, key=lambda one: one["mood"]):
        x, y = (bubble["change"] - min(changes)) / width * (PANEL_WIDTH - 130), bubble["mood"] / unit
        step = next(
            (
                step
                for step in (0, -14, 14, -28, 28, -42, 42)
                if all(abs(x - left) > 70 or abs(y + step - top) > 12 for left, top in taken)
            ),
            0,
        )
        taken.append((x, y + step))
        bubble["label_at"] = (y + step) * unit
    return [low, high]


def csm_grid(sheet: Sheet) -> Picture:
    """9: net revenue retention of each CSM's book by segment, against the segment."""
    caption = (
        "NRR of twelve months of the book owned at the start; colour: percentage points against the segment. Grey: fewer "
        "than three accounts. Right: onboarding rating, 1 to 5."
    )
    rows = sheet.marts.read(
        "mart_csm_scorecards as card left join kpi_net_revenue_retention as kpi on kpi.period_type = card.period_type and "
        "kpi.period_start = card.period_start and kpi.segment_type = 'csm_segment' and "
        "kpi.segment_value = card.csm_user_id || '/' || card.segment_value",
        {
            "period_type": "card.period_type",
            "period_start": "card.period_start",
            "csm": "card.csm_user_id",
            "segment": "card.segment_value",
            "team": "card.team",
        },
        {
            "nrr": "card.nrr",
            "against": "card.nrr_vs_segment",
            "accounts": "card.accounts",
            "rating": "card.onboarding_rating",
            "hidden": "coalesce(kpi.is_suppressed, false)",
        },
        f"card.period_type = 'ttm' and card.period_start = '{sheet.window or '0001-01-01'}' and card.csm_user_id <> 'all'",
    )
    books = {row["csm"]: row["accounts"] for row in rows if row["segment"] == "all" and row["accounts"]}
    shown = set(sorted(books, key=lambda csm: (-books[csm], csm))[:CSMS_SHOWN])
    cells = [row for row in rows if row["segment"] != "all" and row["accounts"] and row["csm"] in shown]
    if not cells:
        return nothing("Retention by CSM and segment", caption, "no complete window of twelve months with CSMs yet")
    canvas, grid = sheet.canvas(), []
    for row in cells:
        name, segment = sheet.marts.csm_names[row["csm"]], in_words(row["segment"])
        few = row["accounts"] < FEW_ACCOUNTS or row["hidden"] or row["nrr"] is None
        grid.append(
            {
                "csm": name,
                "segment": segment,
                "few": few,
                "against": None if few else row["against"],
                "token": canvas.mark(f"accounts of {name}, {segment}", row.figure("accounts"), "count")
                if few
                else canvas.mark(f"NRR of {name}, {segment}", row.figure("nrr"), "ratio"),
                "text": f"n {row['accounts']:,}" if few else sheet.writer.text(row["nrr"], "ratio"),
            }
        )
    ratings = [
        {
            "csm": sheet.marts.csm_names[row["csm"]],
            "segment": "onb. rating",
            "text": sheet.writer.text(row["rating"], "fine"),
            "token": canvas.mark(
                f"onboarding rating of {sheet.marts.csm_names[row['csm']]}", row.figure("rating"), "fine"
            ),
        }
        for row in rows
        if row["segment"] == "all" and row["rating"] is not None and row["csm"] in {cell["csm"] for cell in cells}
    ]
    known = [row for row in grid if not row["few"]]
    reach = max([abs(cell["against"]) for cell in known if cell["against"] is not None] or [0.1]) or 0.1
    segments = sorted({cell["segment"] for cell in grid})
    x = alt.X(
        "segment:N",
        sort=[*segments, "onb. rating"],
        scale=alt.Scale(domain=[*segments, "onb. rating"]),
        axis=alt.Axis(
            title=None,
            orient="top",
            labelAngle=0,
            grid=False,
            labelColor=INK,
            labelLimit=80,
            labelFontSize=10,
            labelExpr="split(datum.label, ' ')",
        ),
    )
    y = alt.Y(
        "csm:N", sort=sorted({cell["csm"] for cell in grid}), axis=alt.Axis(title=None, grid=False, labelColor=INK)
    )
    base = alt.Chart(canvas.data(grid)).encode(x=x, y=y)
    layers = [
        base.transform_filter("datum.few")
        .mark_rect(stroke="white", strokeWidth=2, color=LIGHT)
        .encode(description=alt.Description("token:N")),
        base.transform_filter("!datum.few")
        .mark_rect(stroke="white", strokeWidth=2)
        .encode(
            color=alt.Color(
                "against:Q",
                scale=alt.Scale(domain=[-reach, 0, reach], range=["#E8A55B", "#f4f5f7", "#6FB1DC"], interpolate="rgb"),
                legend=alt.Legend(
                    title="against the segment, pp",
                    format="+.0%",
                    gradientLength=150,
                    orient="bottom",
                    gradientThickness=8,
                    titleOrient="left",
                ),
            ),
            description=alt.Description("token:N"),
        ),
        base.mark_text(fontSize=10.5).encode(
            text=alt.Text("text:N"),
            description=alt.Description("token:N"),
            color=alt.condition("datum.few", alt.value(MUTED), alt.value(INK)),
        ),
    ]
    if ratings:
        layers.append(
            alt.Chart(canvas.data(ratings))
            .mark_text(fontWeight=600)
            .encode(x=x, y=y, text=alt.Text("text:N"), description=alt.Description("token:N"))
        )
    chart = alt.layer(*layers).properties(width=PANEL_WIDTH - 104, height=alt.Step(30))
    ahead = [cell for cell in known if round(cell["against"] or 0.0, 3) > 0]
    best = max(ahead, key=lambda cell: cell["against"], default=None)
    if best:
        title = f"{best['csm']} is furthest above the segment"
    else:
        title = "No book is above its segment" if known else "Books are too small to compare"
    notes = Markup("")
    if len(books) > len(shown):
        notes = Markup(
            '<p class="small muted">The {:,} largest of {:,} books; all of them: mart_csm_scorecards.</p>'
        ).format(len(shown), len(books))
    return Picture(Markup("{}").format(title), caption, [canvas.draw(chart, "NRR by CSM and segment")], notes)


def time_to_value(sheet: Sheet) -> Picture:
    """10: Kaplan-Meier curves of the last three cohorts of onboardings."""
    caption = (
        "Share of onboardings that have reached first value, by days since their start (Kaplan-Meier; open and cancelled "
        "ones count while they were seen). Dashed: target."
    )
    rows = sheet.marts.con.execute(
        """select cast(dates.quarter as date), onboarding.observed_days, onboarding.status = 'achieved'
        from fct_onboardings as onboarding join dim_dates as dates on dates.date_day = onboarding.started_on
        where observed_days is not null order by all"""
    ).fetchall()
    cohorts = sorted({cohort for cohort, _, _ in rows})[-3:]
    if not cohorts:
        return nothing("Time to first value", caption, "no onboarding yet")
    canvas, steps = sheet.canvas(), []
    for place, cohort in enumerate(cohorts):
        for day, share in kaplan_meier([(days, achieved) for of, days, achieved in rows if of == cohort]):
            steps.append({"cohort": quarter_name(cohort), "day": day, "share": share, "place": place})
    medians = sheet.marts.read(
        "kpi_time_to_first_value",
        GRAIN,
        ["km_median_days", "n_started", "n_achieved", "is_complete"],
        f"{WHOLE} and period_type = 'quarter' and period_start in ({', '.join(repr(str(day)) for day in cohorts)})",
    )
    target = sheet.marts.read(
        "mart_kpi_values",
        ["kpi_id", *GRAIN],
        ["target"],
        f"kpi_id = 'time_to_first_value' and period_type = 'quarter' and {WHOLE} and period_start = '{cohorts[-1]}'",
    )
    colours = [SKY, BLUE, INK][-len(cohorts) :]
    longest = max(step["day"] for step in steps)
    x = alt.X(
        "day:Q",
        scale=alt.Scale(domain=[0, max(longest, 60)], nice=False),
        axis=alt.Axis(title="days since the start of onboarding", grid=False),
    )
    layers = [
        alt.Chart(canvas.data(steps))
        .mark_line(interpolate="step-after", strokeWidth=2.2)
        .encode(
            x=x,
            y=alt.Y(
                "share:Q",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(title="have reached first value", format=".0%", tickCount=5),
            ),
            color=alt.Color(
                "cohort:N",
                sort=None,
                scale=alt.Scale(domain=[quarter_name(day) for day in cohorts], range=colours),
                legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=3),
            ),
        )
    ]
    if target and target[0]["target"] is not None:
        token = canvas.mark("target", target[0].figure("target"), "days")
        rule = alt.Chart(
            canvas.data(
                [
                    {
                        "day": target[0]["target"],
                        "token": token,
                        "text": f"target {sheet.writer.text(target[0]['target'], 'days')}",
                    }
                ]
            )
        )
        layers.append(
            rule.mark_rule(strokeDash=[5, 4], color=VERMILLION).encode(
                x=alt.X("day:Q"), description=alt.Description("token:N")
            )
        )
        layers.append(
            rule.mark_text(align="left", dx=5, color="#a04500").encode(
                x=alt.X("day:Q"), y=alt.value(250), text=alt.Text("text:N"), description=alt.Description("token:N")
            )
        )
    chart = alt.layer(*layers).properties(width=PANEL_WIDTH - 64, height=260)
    items = Markup("").join(
        Markup("<li>{}: half of them after {}, {} of {} so far{}</li>").format(
            time(row["period_start"], quarter_name(row["period_start"])),
            sheet.writer.show(row.figure("km_median_days"), "days"),
            sheet.writer.show(row.figure("n_achieved"), "count"),
            sheet.writer.show(row.figure("n_started"), "count"),
            "" if row["is_complete"] else Markup(' <span class="why">(not over yet)</span>'),
        )
        for row in medians
    )
    done = [row for row in medians if row["km_median_days"] is not None and row["is_complete"]]
    title = (
        Markup("Half of the customers of {} saw value after {}").format(
            time(done[-1]["period_start"], quarter_name(done[-1]["period_start"])),
            sheet.writer.show(done[-1].figure("km_median_days"), "days"),
        )
        if done
        else Markup("How soon new customers see value")
    )
    return Picture(
        title, caption, [canvas.draw(chart, "Time to first value")], Markup('<ul class="notes">{}</ul>').format(items)
    )


def kaplan_meier(observations: Sequence[tuple[int, bool]]) -> list[tuple[int, float]]:
    """The share that has reached the event by each day, from (days observed, reached or only seen so far)."""
    waiting, reached, steps = 1.0, 0, [(0, 0.0)]
    for day in sorted({days for days, _ in observations}):
        at_risk = sum(days >= day for days, _ in observations)
        reached = sum(days == day and achieved for days, achieved in observations)
        waiting *= 1 - reached / at_risk
        steps.append((day, 1 - waiting))
    return steps


def wilson(rate: str, n: str, side: int) -> str:
    """SQL of an end of the 95 % Wilson interval of a share: side -1 is the low one, +1 the high one."""
    z = Z95
    return (
        f"({rate} + {z * z / 2} / {n} + {side} * {z} * sqrt({rate} * (1 - {rate}) / {n} + {z * z / 4} / ({n} * {n}))) "
        f"/ (1 + {z * z} / {n})"
    )


def back_test(sheet: Sheet) -> Picture:
    """11: churn by colour of the health score, and how well score and manual colour rank who leaves."""
    caption = (
        "Above: share that left within 90 days of the snapshot, with 95 % interval. Below: chance that the score ranks a "
        "leaver below a stayer (AUC; 0.5 is a coin). Grey: fewer than ten left."
    )
    columns: dict[str, str] = {
        name: name for name in ("auc", "manual_auc", "is_low_confidence", "n_churned", "n_accounts")
    }
    for colour in ("red", "yellow", "green"):
        rate, n = f"{colour}_churn_rate", f"{colour}_n"
        columns |= {
            rate: rate,
            n: n,
            f"{colour}_low": wilson(rate, f"nullif({n}, 0)", -1),
            f"{colour}_high": wilson(rate, f"nullif({n}, 0)", 1),
        }
    rows = sheet.marts.read(
        "mart_health_backtest",
        ["snapshot_date", "segment_value", "horizon_days"],
        columns,
        "segment_value = 'all' and horizon_days = 90 and n_accounts > 0",
        order="snapshot_date",
    )
    if not rows:
        return nothing("Does the score tell the truth?", caption, "no snapshot is 90 days old yet")
    last, canvas = rows[-1], sheet.canvas()
    bars = [
        {
            "colour": colour,
            "label": f"{LETTERS[colour]} {colour}",
            "rate": last[f"{colour}_churn_rate"],
            "low": last[f"{colour}_low"],
            "high": last[f"{colour}_high"],
            "token": canvas.mark(f"churn of {colour}", last.figure(f"{colour}_churn_rate"), "ratio"),
            "low_token": canvas.mark(f"churn of {colour}, low end", last.figure(f"{colour}_low"), "ratio"),
            "n_token": canvas.mark(f"{colour} accounts", last.figure(f"{colour}_n"), "count"),
            "text": sheet.writer.text(last[f"{colour}_churn_rate"], "ratio"),
            "n": f"n {last[f'{colour}_n']:,}",
        }
        for colour in ("red", "yellow", "green")
        if last[f"{colour}_churn_rate"] is not None
    ]
    base = alt.Chart(canvas.data(bars)).encode(
        y=alt.Y("label:N", sort=None, axis=alt.Axis(title=None, labelColor=INK, grid=False))
    )
    colours = alt.Color("colour:N", scale=alt.Scale(domain=list(HEALTH), range=list(HEALTH.values())), legend=None)
    top = max([bar["high"] for bar in bars] or [1.0])
    upper = alt.layer(
        base.mark_rule(strokeWidth=6, opacity=0.45).encode(
            x=alt.X(
                "low:Q",
                scale=alt.Scale(domain=[0, top * 1.3], nice=False),
                axis=alt.Axis(title="left within 90 days", format=".0%", tickCount=5),
            ),
            x2=alt.X2("high"),
            color=colours,
            description=alt.Description("low_token:N"),
        ),
        base.mark_point(filled=True, size=90, stroke=INK, strokeWidth=0.8).encode(
            x=alt.X("rate:Q"), color=colours, description=alt.Description("token:N")
        ),
        base.mark_text(align="left", dx=7, dy=-9, fontWeight=600).encode(
            x=alt.X("rate:Q"), text=alt.Text("text:N"), description=alt.Description("token:N")
        ),
        base.mark_text(align="right", color=MUTED).encode(
            x=alt.value(PANEL_WIDTH - 76), text=alt.Text("n:N"), description=alt.Description("n_token:N")
        ),
    ).properties(width=PANEL_WIDTH - 76, height=alt.Step(36))
    quarter_of = dict(sheet.marts.con.execute("select date_day, quarter from dim_dates").fetchall())
    quarters = {quarter_of[row["snapshot_date"]]: row for row in rows}
    curves = [
        {
            "day": month_name(row["snapshot_date"]),
            "who": who,
            "auc": row[column],
            "colour": GREY if row["is_low_confidence"] else colour,
            "token": canvas.mark(f"AUC of {who} {month_name(row['snapshot_date'])}", row.figure(column), "fine"),
        }
        for row in list(quarters.values())[-9:]
        for who, column, colour in (("score", "auc", BLUE), ("manual colour", "manual_auc", ORANGE))
        if row[column] is not None
    ]
    charts: list[alt.TopLevelMixin] = [upper]
    if curves:
        order = list(dict.fromkeys(curve["day"] for curve in curves))
        line = alt.Chart(canvas.data(curves)).encode(
            x=alt.X(
                "day:N",
                sort=order,
                axis=alt.Axis(title="last snapshot of the quarter", labelAngle=0, grid=False, values=order[::-1][::2]),
            ),
            y=alt.Y(
                "auc:Q",
                scale=alt.Scale(domain=[min(0.45, *(curve["auc"] for curve in curves)), 1.0]),
                axis=alt.Axis(title="AUC", values=[0.5, 0.75, 1.0]),
            ),
        )
        who = alt.Scale(domain=["score", "manual colour"], range=[BLUE, ORANGE])
        charts.append(
            alt.layer(
                line.mark_line(strokeWidth=2).encode(
                    color=alt.Color("who:N", scale=who, legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=3)),
                    strokeDash=alt.StrokeDash(
                        "who:N", scale=alt.Scale(domain=["score", "manual colour"], range=[[1, 0], [2, 3]]), legend=None
                    ),
                ),
                line.mark_point(filled=True, size=42, opacity=1).encode(
                    color=alt.Color("colour:N", scale=None), description=alt.Description("token:N")
                ),
            )
            .properties(width=PANEL_WIDTH - 76, height=110)
            .resolve_scale(color="independent")
        )
    title = (
        Markup("{} of red accounts left within three months, {} of green").format(
            sheet.writer.show(last.figure("red_churn_rate"), "ratio"),
            sheet.writer.show(last.figure("green_churn_rate"), "ratio"),
        )
        if last["red_churn_rate"] is not None and last["green_churn_rate"] is not None
        else Markup("Does the score tell the truth?")
    )
    notes = Markup("")
    if last["auc"] is not None and last["auc"] < LEAST_AUC:
        notes += Markup('<p class="why">Do not act on the colour alone: the AUC of {} is {}.</p>').format(
            time(last["snapshot_date"]), sheet.writer.show(last.figure("auc"), "fine")
        )
    if last["is_low_confidence"]:
        notes += Markup('<p class="why">Only {} accounts left after the snapshot of {}: read with care.</p>').format(
            sheet.writer.show(last.figure("n_churned"), "count"), time(last["snapshot_date"])
        )
    panel = canvas.draw(
        alt.vconcat(*charts, spacing=10).resolve_scale(color="independent"), "Back-test of the health score"
    )
    return Picture(title, caption, [panel], notes)


def call_list(sheet: Sheet) -> Picture:
    """12: the ten accounts to call first."""
    caption = "The first of each CSM's queue by priority, then by ARR. The whole queue: mart_action_queue."
    rows = sheet.marts.read(
        "mart_action_queue",
        ["as_of", "account_id"],
        [
            "csm_user_id",
            "priority",
            "account_name",
            "arr",
            "health_colour",
            "score_change",
            "next_renewal_on",
            "reason",
            "suggested_playbook",
            "last_touch_on",
        ],
        "as_of = (select max(as_of) from mart_action_queue)",
        order="priority, arr desc, account_id",
        limit=10,
    )
    if not rows:
        return nothing("Whom to call", caption, "no account needs action", span=3)
    lines = Markup("").join(
        Markup(
            '<tr><td>{}</td><td class="name">{}</td><td class="num">{}</td><td>{}</td><td class="num">{}</td>'
            '<td>{}</td><td class="words">{}</td><td>{}</td><td>{}</td></tr>'
        ).format(
            colour_badge(row["health_colour"]),
            account_link(row["account_id"], row["account_name"]),
            sheet.writer.show(row.figure("arr"), "money"),
            sheet.marts.csm_names.get(row["csm_user_id"]) or row["csm_user_id"],
            sheet.writer.show(row.figure("score_change"), "+score"),
            time(row["next_renewal_on"]),
            row["reason"],
            in_words(row["suggested_playbook"]),
            time(row["last_touch_on"]),
        )
        for row in rows
    )
    table = Markup(
        '<div class="scroll"><table class="rows"><thead><tr><th>Health</th><th>Account</th><th class="num">ARR</th>'
        '<th>CSM</th><th class="num">Score change</th><th>Renewal</th><th>Why</th><th>Playbook</th><th>Last touch</th></tr>'
        "</thead><tbody>{}</tbody></table></div>"
    ).format(lines)
    return Picture(Markup("Call these accounts first"), caption, [], table, span=3)


# The place of a KPI in the catalogue (`page 1, picture 3`) names one of these; picture 1 is the row of tiles.
FIRST_PAGE: dict[int, Callable[[Sheet], Picture]] = {
    2: mrr,
    3: retention,
    4: health,
    5: renewals,
    6: nps,
    7: churn_reasons,
    8: pain_points,
    9: csm_grid,
    10: time_to_value,
    11: back_test,
    12: call_list,
}
