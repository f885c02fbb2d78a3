"""Pictures of health: who is well, whom to call, and whether the score can be trusted."""

from __future__ import annotations

from datetime import date

import altair as alt
from markupsafe import Markup

from dashboard.links import account_link
from dashboard.marts import Row
from dashboard.sheet import Picture, Sheet, nothing
from dashboard.show import (
    BLUE,
    COLOURS,
    GREY,
    HEALTH,
    INK,
    LETTERS,
    LIGHT,
    MUTED,
    ORANGE,
    PANEL_WIDTH,
    Panel,
    colour_badge,
    in_words,
    month_name,
    time,
)

# below it the colour alone tells too little to act on
LEAST_AUC = 0.6
Z95 = 1.959964


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


def wilson(rate: str, n: str, side: int) -> str:
    """SQL of an end of the 95 % Wilson interval of a share: side -1 is the low one, +1 the high one."""
    z = Z95
    return (
        f"({rate} + {z * z / 2} / {n} + {side} * {z} * sqrt({rate} * (1 - {rate}) / {n} + {z * z / 4} / ({n} * {n}))) "
        f"/ (1 + {z * z} / {n})"
    )


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
