"""One page an account: the account at a glance, what its health score lost and why, and what happened.

No contact, no comment and no free text: only what the marts give for this use. Nothing is drawn by the chart library
here, since there is a page for every account.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import Any

from markupsafe import Markup, escape

from dashboard.links import account_file
from dashboard.marts import Row
from dashboard.sheet import Sheet
from dashboard.show import HEALTH, LETTERS, colour_badge, in_words, month_name, origin, time

MONTHS_DRAWN = 24
EVENTS_SHOWN = 50
AT_A_GLANCE = {
    "mrr": ("MRR", "money"),
    "predicted_total_clv": ("Lifetime value", "money"),
    "health_score": ("Health score", "score"),
    "next_renewal_on": ("Next renewal", "date"),
    "last_nps": ("Last NPS answer", "count"),
    "last_nps_on": ("answered on", "date"),
    "csat_share_90d": ("Satisfied, 90 days", "share"),
    "open_tickets": ("Open tickets", "count"),
    "adoption_rate": ("Features used", "share"),
    "active_days_28d": ("Active days of 28", "count"),
    "last_touch_on": ("Last touch", "date"),
    "open_actions": ("Open actions", "count"),
}
COMPONENTS = {
    "adoption": "Use of the features that are paid for",
    "usage": "Seats in use",
    "support_csat": "Satisfaction with support",
    "nps": "Willingness to recommend",
    "engagement": "Contact with us",
    "billing": "Payment and cancel requests",
    "onboarding_progress": "Progress of the onboarding",
}
MOVEMENTS = {
    "new": "Became a customer",
    "expansion": "Grew",
    "contraction": "Shrank",
    "churn": "Left",
    "pause": "Paused",
    "resume": "Resumed",
    "reactivation": "Came back",
}
Event = tuple[date, str, Markup]


def account_pages(sheet: Sheet) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, template, context) of the list of accounts and of each account's page."""
    accounts = sheet.marts.read(
        "mart_account_360",
        ["account_id"],
        [
            "account_name",
            "csm_user_id",
            "segment",
            "lifecycle_stage",
            "health_colour",
            "drivers_text",
            "last_feedback",
            *AT_A_GLANCE,
        ],
        order="mrr desc nulls last, account_id",
    )
    csms = sheet.marts.csm_names
    places = sheet.marts.con.execute(
        "select account_id, industry, country, customer_since from dim_accounts"
    ).fetchall()
    about = {account: rest for account, *rest in places}
    drivers, scores, mrr, events = _drivers(sheet), _scores(sheet), _mrr(sheet), _events(sheet)
    summaries = []
    for account in accounts:
        key = account["account_id"]
        shared = {"account": account, "csm": csms.get(account["csm_user_id"]) or in_words(account["csm_user_id"])}
        summaries.append(
            {
                **shared,
                "file": account_file(key),
                "mrr": sheet.writer.show(account.figure("mrr"), "money"),
                "score": sheet.writer.show(account.figure("health_score"), "score"),
                "badge": colour_badge(account["health_colour"]),
                "renewal": time(account["next_renewal_on"]),
            }
        )
        happened = sorted(events[key], key=lambda event: event[0], reverse=True)
        industry, country, since = about.get(key, (None, None, None))
        yield (
            f"accounts/{account_file(key)}",
            "account.html",
            {
                **shared,
                "badge": colour_badge(account["health_colour"]),
                "glance": [
                    (label, time(account[name]) if unit == "date" else sheet.writer.show(account.figure(name), unit))
                    for name, (label, unit) in AT_A_GLANCE.items()
                ],
                "industry": in_words(industry),
                "country": in_words(country),
                "since": time(since),
                "drivers": drivers[key],
                "score_line": _score_line(sheet, scores[key]),
                "mrr_bars": _mrr_bars(sheet, mrr[key]),
                "events": happened[:EVENTS_SHOWN],
                "older": max(len(happened) - EVENTS_SHOWN, 0),
                "here": "accounts",
            },
        )
    yield "accounts.html", "accounts.html", {"accounts": summaries, "here": "accounts"}


def _by_account(rows: list[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["account_id"]].append(row)
    return groups


def _drivers(sheet: Sheet) -> dict[str, list[dict[str, Any]]]:
    """What each component of the last score cost, the dearest first."""
    rows = sheet.marts.read(
        "fct_health_components",
        ["account_id", "score_date", "component"],
        ["component_score", "points_lost", "is_missing", "weight"],
        "score_date = (select max(score_date) from fct_health_components)",
        order="account_id, points_lost desc nulls last, component",
    )
    drivers: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        drivers[row["account_id"]].append(
            {
                "name": COMPONENTS.get(row["component"], in_words(row["component"])),
                "missing": row["is_missing"],
                "score": sheet.writer.show(row.figure("component_score"), "score"),
                "lost": sheet.writer.show(row.figure("points_lost"), "score"),
                "width": f"{min(row['points_lost'] or 0.0, 30.0) / 30 * 100:.0f}",
            }
        )
    return drivers


def _scores(sheet: Sheet) -> dict[str, list[Row]]:
    first = f"date '{sheet.marts.as_of}' - interval {MONTHS_DRAWN} month"
    return _by_account(
        sheet.marts.read(
            "fct_health_scores",
            ["account_id", "score_date"],
            ["score", "colour"],
            f"score_date > {first} and (account_id, score_date) in "
            "(select (account_id, max(score_date)) from fct_health_scores group by account_id, date_trunc('month', score_date))",
            order="score_date",
        )
    )


def _mrr(sheet: Sheet) -> dict[str, list[Row]]:
    first = f"date '{sheet.marts.as_of}' - interval {MONTHS_DRAWN} month"
    return _by_account(
        sheet.marts.read(
            "fct_account_mrr_months", ["account_id", "month"], ["closing_mrr"], f"month > {first}", order="month"
        )
    )


def _attributes(row: Row, column: str) -> str:
    return str(origin(row.figure(column))).replace('value="', 'data-value="', 1)


def _score_line(sheet: Sheet, rows: list[Row]) -> Markup:
    """The last health score of each month, each point with the letter of its colour; no line where months have none."""
    known = [row for row in rows if row["score"] is not None]
    if not known:
        return Markup("")
    width, height = 480, 120
    months = [_months_between(known[0]["score_date"], row["score_date"]) for row in known]
    step = (width - 70) / max(months[-1], 1)
    places = [(34 + month * step, 104 - row["score"] * 0.88) for month, row in zip(months, known, strict=True)]
    follows = [later == month + 1 for month, later in pairwise([-2, *months])]
    parts = [
        f'<line class="rule" x1="26" x2="{width - 8}" y1="{104 - level * 0.88:.0f}" y2="{104 - level * 0.88:.0f}"/>'
        f'<text class="axis" x="20" y="{108 - level * 0.88:.0f}">{level}</text>'
        for level in (0, 50, 100)
    ]
    run = " ".join(f"{'L' if on else 'M'}{x:.1f},{y:.1f}" for on, (x, y) in zip(follows, places, strict=True))
    parts.append(f'<path class="run" d="{run}"/>')
    for row, (x, y) in zip(known, places, strict=True):
        colour = row["colour"] if row["colour"] in HEALTH else "unknown"
        said = f"{month_name(row['score_date'])}: {sheet.writer.text(row['score'], 'score')}, {colour}"
        parts.append(
            f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="7" {_attributes(row, "score")}><title>{said}</title>'
            f'</circle><text class="letter {colour}" x="{x:.1f}" y="{y + 3.4:.1f}">{LETTERS[colour]}</text>'
        )
    ends = f'<text class="axis first" x="26" y="118">{month_name(known[0]["score_date"])}</text>'
    ends += f'<text class="axis" x="{width - 8}" y="118">{month_name(known[-1]["score_date"])}</text>'
    return Markup(
        f'<svg class="drawn" viewBox="0 0 {width} {height}" role="img" aria-label="Health score by month">'
        + "".join(parts)
        + (ends if len(known) > 1 else "")
        + "</svg>"
    )


def _months_between(first: date, later: date) -> int:
    return (later.year - first.year) * 12 + later.month - first.month


def _mrr_bars(sheet: Sheet, rows: list[Row]) -> Markup:
    """MRR at the end of each month; no bar in months without any."""
    if not any(row["closing_mrr"] for row in rows):
        return Markup("")
    width, height, base = 480, 120, 100
    top = max(row["closing_mrr"] for row in rows)
    months = [_months_between(rows[0]["month"], row["month"]) for row in rows]
    step = (width - 16) / max(months[-1] + 1, 6)
    parts = []
    for month, row in zip(months, rows, strict=True):
        tall = float(row["closing_mrr"] / top) * 80
        said = f"{month_name(row['month'])}: {sheet.writer.text(row['closing_mrr'], 'money')}"
        parts.append(
            f'<rect class="month" x="{8 + month * step:.1f}" y="{base - tall:.1f}" width="{step * 0.75:.1f}" height="{tall:.1f}" '
            f"{_attributes(row, 'closing_mrr')}><title>{escape(said)}</title></rect>"
        )
    last = rows[-1]
    right = 8 + (months[-1] + 0.75) * step
    label = f'<text class="mark" x="{right:.1f}" y="{base - float(last["closing_mrr"] / top) * 80 - 6:.1f}" '
    label += f"{_attributes(last, 'closing_mrr')}>{escape(sheet.writer.text(last['closing_mrr'], 'money'))}</text>"
    ends = f'<text class="axis first" x="8" y="114">{month_name(rows[0]["month"])}</text>'
    ends += f'<text class="axis" x="{right:.1f}" y="114">{month_name(last["month"])}</text>' if months[-1] > 2 else ""
    return Markup(
        f'<svg class="drawn" viewBox="0 0 {width} {height}" role="img" aria-label="MRR by month">'
        + "".join(parts)
        + label
        + ends
        + "</svg>"
    )


def _events(sheet: Sheet) -> dict[str, list[Event]]:
    """What happened to each account: money, renewals, answers, actions, onboarding, changes of colour."""
    events: dict[str, list[Event]] = defaultdict(list)
    for read in (_movement_events, _renewal_events, _answer_events, _action_events, _onboarding_events, _alert_events):
        for account, event in read(sheet):
            events[account].append(event)
    for account, rows in _by_account(
        sheet.marts.read("fct_health_scores", ["account_id", "score_date"], ["colour"], order="score_date")
    ).items():
        for before, after in pairwise(rows):
            if before["colour"] != after["colour"]:
                words = Markup("Health turned {} {}").format(colour_badge(after["colour"]), in_words(after["colour"]))
                events[account].append((after["score_date"], "health", words))
    return events


def _movement_events(sheet: Sheet) -> Iterator[tuple[str, Event]]:
    rows = sheet.marts.read(
        "fct_mrr_movements",
        ["account_id", "movement_date", "movement_type", "movement_subtype"],
        ["amount", "cancel_reason"],
        "movement_type <> 'fx'",
    )
    for row in rows:
        detail = row["cancel_reason"] or row["movement_subtype"]
        detail = Markup(" ({})").format(in_words(detail)) if detail and detail != row["movement_type"] else ""
        words = Markup("{}: {} MRR{}").format(
            MOVEMENTS.get(row["movement_type"], in_words(row["movement_type"])),
            sheet.writer.show(row.figure("amount"), "+money"),
            detail,
        )
        yield row["account_id"], (row["movement_date"], "money", words)


def _renewal_events(sheet: Sheet) -> Iterator[tuple[str, Event]]:
    rows = sheet.marts.read("fct_renewals", ["term_id"], ["account_id", "due_date", "outcome", "renewable_arr"])
    for row in rows:
        words = Markup("Contract of {} ARR: {}").format(
            sheet.writer.show(row.figure("renewable_arr"), "money"), in_words(row["outcome"])
        )
        yield row["account_id"], (row["due_date"], "renewal", words)


def _answer_events(sheet: Sheet) -> Iterator[tuple[str, Event]]:
    rows = sheet.marts.read(
        "fct_survey_responses",
        ["response_id"],
        ["account_id", "responded_on", "survey_type", "category", "score"],
        "is_counted and responded_on is not null and account_id is not null",
    )
    for row in rows:
        words = Markup("{} answer {}: {}").format(
            row["survey_type"].upper() if len(row["survey_type"]) < 5 else row["survey_type"].capitalize(),
            sheet.writer.show(row.figure("score"), "count"),
            in_words(row["category"]),
        )
        yield row["account_id"], (row["responded_on"], "answer", words)


def _action_events(sheet: Sheet) -> Iterator[tuple[str, Event]]:
    rows = sheet.marts.con.execute(
        """select account_id, opened_on, closed_on, action_type, playbook_name, status from fct_actions
        where account_id is not null and opened_on is not null order by all"""
    ).fetchall()
    for account, opened, closed, kind, playbook, status in rows:
        name = in_words(playbook or kind)
        yield account, (opened, "action", Markup("Action opened: {}").format(name))
        if closed:
            yield account, (closed, "action", Markup("Action {}: {}").format(in_words(status), name))


def _onboarding_events(sheet: Sheet) -> Iterator[tuple[str, Event]]:
    rows = sheet.marts.read(
        "fct_onboardings", ["onboarding_id"], ["account_id", "started_on", "first_value_on", "days_to_first_value"]
    )
    for row in rows:
        if row["started_on"]:
            yield row["account_id"], (row["started_on"], "onboarding", Markup("Onboarding started"))
        if row["first_value_on"]:
            words = Markup("First value after {}").format(sheet.writer.show(row.figure("days_to_first_value"), "days"))
            yield row["account_id"], (row["first_value_on"], "onboarding", words)


def _alert_events(sheet: Sheet) -> Iterator[tuple[str, Event]]:
    rows = sheet.marts.con.execute(
        "select subject_id, raised_on, alert_type, severity from mart_alerts where subject_type = 'account' order by all"
    ).fetchall()
    for account, raised, kind, severity in rows:
        yield (
            account,
            (raised, "alert", Markup('<span class="words">Alert ({}): {}</span>').format(severity, in_words(kind))),
        )
