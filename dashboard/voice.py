"""Pictures of what customers say: the net promoter score and the themes of feedback."""

from __future__ import annotations

from typing import Any

import altair as alt
from markupsafe import Markup

from dashboard.marts import Row
from dashboard.sheet import GRAIN, WHOLE, Picture, Sheet, nothing
from dashboard.show import (
    GREEN,
    GREY,
    INK,
    LIGHT,
    MUTED,
    PANEL_WIDTH,
    SKY,
    VERMILLION,
    in_words,
    month_name,
    quarter_name,
    time,
)

PLOT_HEIGHT = 300


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
        f"month = '{month}' and source = 'all' and theme <> 'unclassified' and not is_suppressed",
        order="arr_affected desc, theme",
    )
    if not rows:
        return nothing("What customers talk about", caption, "no theme of enough feedback in a complete month yet")
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
        title = Markup("{} hurts most revenue: {} negative, by accounts of {} ARR in {}").format(
            in_words(worst["theme"]).capitalize(),
            sheet.writer.show(worst.figure("negative_share"), "share"),
            sheet.writer.show(worst.figure("arr_affected"), "money"),
            time(month, month_name(month, long=True)),
        )
    [whole] = sheet.marts.read(
        "kpi_feedback_sentiment",
        GRAIN,
        ["unclassified_share"],
        f"{WHOLE} and period_type = 'month' and period_start = '{month}'",
    )
    notes = Markup(
        '<p class="small muted">Without a theme, and not drawn: {} of the feedback of {}. '
        "Nor are themes of too little feedback.</p>"
    ).format(sheet.writer.show(whole.figure("unclassified_share"), "share"), time(month, month_name(month, long=True)))
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
