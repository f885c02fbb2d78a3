"""Pictures of the work of CSMs: their books by segment, and how fast customers reach value."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
from markupsafe import Markup

from dashboard.sheet import GRAIN, WHOLE, Picture, Sheet, nothing
from dashboard.show import (
    BLUE,
    INK,
    LIGHT,
    MUTED,
    PANEL_WIDTH,
    SKY,
    VERMILLION,
    in_words,
    quarter_name,
    time,
)

FEW_ACCOUNTS = 3
# rows of the grid: more can't be read, and thousands can't be drawn
CSMS_SHOWN = 24


def csm_grid(sheet: Sheet) -> Picture:
    """9: net revenue retention of each CSM's book by segment, against the segment."""
    caption = (
        "NRR of twelve months of the book owned at the start; colour: percentage points against the segment. Grey: fewer "
        "than three accounts at the start. Right: onboarding rating, 1 to 5."
    )
    rows = sheet.marts.read(
        "mart_csm_scorecards",
        {
            "period_type": "period_type",
            "period_start": "period_start",
            "csm": "csm_user_id",
            "segment": "segment_value",
            "team": "team",
        },
        {
            "nrr": "nrr",
            "against": "nrr_vs_segment",
            "opening": "coalesce(opening_accounts, 0)",
            "size": "greatest(accounts, opening_accounts, 0)",
            "rating": "onboarding_rating",
        },
        f"period_type = 'ttm' and period_start = '{sheet.window or '0001-01-01'}' and csm_user_id <> 'all'",
    )
    # a book that was lost is as large as it was
    books = {row["csm"]: row["size"] for row in rows if row["segment"] == "all" and row["size"]}
    shown = set(sorted(books, key=lambda csm: (-books[csm], csm))[:CSMS_SHOWN])
    cells = [row for row in rows if row["segment"] != "all" and row["size"] and row["csm"] in shown]
    if not cells:
        return nothing("Retention by CSM and segment", caption, "no complete window of twelve months with CSMs yet")
    canvas, grid = sheet.canvas(), []
    for row in cells:
        name, segment = sheet.marts.csm_names[row["csm"]], in_words(row["segment"])
        few = row["opening"] < FEW_ACCOUNTS or row["nrr"] is None
        grid.append(
            {
                "csm": name,
                "segment": segment,
                "few": few,
                "against": None if few else row["against"],
                "token": canvas.mark(f"accounts of {name}, {segment}, at the start", row.figure("opening"), "count")
                if few
                else canvas.mark(f"NRR of {name}, {segment}", row.figure("nrr"), "ratio"),
                "text": f"n {row['opening']:,}" if few else sheet.writer.text(row["nrr"], "ratio"),
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
