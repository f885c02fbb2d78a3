"""What a delivered row must be beyond its types: values that the contract names, numbers and dates that can be.

A row that breaks one of these rules is quarantined with the rule's reason and remedy. Rules look at one row alone; what
only other rows can tell is in contradictions.py (held back or shown) and in the suites of expectations/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.contract import Column, Table
from orchestration.sql import bare, literals

# Computers write dates like 1970-01-01, 1900-01-01 and 0001-01-01 for "none".
EARLIEST = "1980-01-01"
# Clocks differ, and a day ends later in the west.
HORIZON = timedelta(days=1)

# Values that the contract names, in lower case as staging reads them.
KNOWN_VALUES = {
    ("crm_users", "role"): ("csm", "support_agent", "account_manager", "exec"),
    ("crm_opportunities", "opportunity_type"): ("new", "expansion", "renewal"),
    ("billing_subscriptions", "status"): (
        "trialing",
        "active",
        "past_due",
        "paused",
        "unpaid",
        "canceled",
        "incomplete",
        "incomplete_expired",
    ),
    ("billing_subscriptions", "cancel_type"): ("voluntary", "involuntary"),
    ("billing_subscription_items", "billing_interval"): ("day", "week", "month", "year"),
    ("billing_invoices", "status"): ("draft", "open", "paid", "uncollectible", "void"),
    ("support_tickets", "status"): ("new", "open", "pending", "solved", "closed"),
    ("support_ticket_events", "event_type"): (
        "public_reply",
        "internal_note",
        "assigned",
        "escalated",
        "solved",
        "reopened",
        "closed",
    ),
    ("support_ticket_events", "actor_type"): ("agent", "customer", "system"),
    ("surveys", "survey_type"): ("nps", "csat", "ces", "onboarding", "custom"),
    ("cs_activities", "direction"): ("outbound", "inbound"),
    ("cs_activities", "status"): ("completed", "scheduled", "cancelled", "no_show"),
    ("cs_advocacy", "status"): ("requested", "committed", "completed", "declined"),
    ("cs_actions", "action_type"): ("playbook", "detractor_followup", "interview", "action_plan", "improvement"),
    ("cs_actions", "status"): ("open", "done", "dropped"),
    ("cs_health_ratings", "colour"): ("red", "yellow", "green"),
    ("fin_costs", "cost_type"): ("acquisition", "retention", "cs_team", "support", "cogs"),
}

# Of these, columns that decide no figure: another value is shown and let through.
DESCRIBING = frozenset(
    {("crm_users", "role"), ("crm_opportunities", "opportunity_type"), ("support_tickets", "status")}
)

# ISO 4217, active codes.
_CURRENCIES = """
aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob bov brl bsd btn bwp byn bzd cad cdf che chf
chw clf clp cny cop cou crc cup cve czk djf dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd gnf gtq gyd hkd hnl
htg huf idr ils inr iqd irr isk jmd jod jpy kes kgs khr kmf kpw krw kwd kyd kzt lak lbp lkr lrd lsl lyd mad mdl mga mkd
mmk mnt mop mru mur mvr mwk mxn mxv myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf
sar sbd scr sdg sek sgd shp sle sos srd ssp stn svc syp szl thb tjs tmt tnd top try ttd twd tzs uah ugx usd usn uyi uyu
uyw uzs ved ves vnd vuv wst xaf xag xau xcd xcg xdr xof xpd xpf xpt xsu xua yer zar zmw zwg
"""
# Codes withdrawn since 2000: history is billed in them, and some banks go on using them.
_WITHDRAWN = """
    yum afa ats bef dem esp fim frf grd iep itl luf nlg pte srg mgf trl azm csd
    mzm rol ghc sdd sit cyp mtl veb zwd skk tmm zwr eek lvl zmk ltl byr std mro
    vef cuc hrk sll zwl
"""
CURRENCIES = (*_CURRENCIES.split(), *_WITHDRAWN.split())
CURRENCY_COLUMNS = frozenset({"currency", "from_currency", "to_currency"})

# Numbers outside these are mistakes of units or signs.
RANGES = {
    ("billing_subscription_items", "quantity"): (0, 10_000_000),
    ("billing_subscription_items", "unit_amount"): (0, 999_999_999),
    ("billing_subscription_items", "discount_pct"): (0, 100),
    ("billing_invoices", "amount_subtotal"): (0, 999_999_999_999),
    ("billing_invoices", "amount_paid"): (0, 999_999_999_999),
    ("billing_refunds", "amount"): (0, 999_999_999_999),
    ("crm_opportunities", "amount_arr"): (-999_999_999_999, 999_999_999_999),
    ("survey_responses", "score"): (-100, 100),
    ("surveys", "scale_min"): (-100, 100),
    ("surveys", "scale_max"): (-100, 100),
    ("feedback_items", "rating"): (0, 100),
    ("cs_activities", "duration_minutes"): (0, 24 * 60),
    ("cs_onboardings", "target_days"): (1, 1_000),
    ("fin_exchange_rates", "rate"): (0.0000001, 10_000_000),
}

# The longest that is billed at once, by interval.
LONGEST = {"day": 1_100, "week": 160, "month": 120, "year": 10}

# Instants that are facts once they are delivered; others (ends, renewals, planned work) may lie ahead.
HAPPENED = {
    "crm_accounts": ("created_at", "merged_at"),
    "crm_contacts": ("created_at",),
    "crm_opportunities": ("created_at",),
    "billing_subscription_items": ("recorded_at",),
    "billing_invoices": ("issued_at", "paid_at"),
    "billing_refunds": ("refunded_at",),
    "product_events": ("occurred_at",),
    "support_tickets": ("created_at",),
    "support_ticket_events": ("occurred_at",),
    "support_self_service_sessions": ("started_at",),
    "survey_responses": ("sent_at", "responded_at"),
    "feedback_items": ("collected_at",),
    "cs_onboardings": ("purchased_at", "completed_at", "first_value_at", "cancelled_at"),
    "cs_advocacy": ("completed_at",),
    "cs_actions": ("opened_at", "closed_at"),
    "cs_health_ratings": ("rated_at",),
    "fin_exchange_rates": ("rate_date",),
}

# (start, end): an end before its start can't be. Equal ones are empty ranges and harmless.
ORDERED = {
    "crm_users": (("active_from", "active_to"),),
    "crm_account_owners": (("valid_from", "valid_to"),),
    "billing_subscriptions": (("started_at", "ended_at"), ("trial_start", "trial_end")),
    "billing_subscription_items": (("effective_from", "effective_to"),),
    "billing_subscription_pauses": (("paused_from", "paused_until"),),
    "billing_contract_terms": (("term_start", "term_end"),),
    "product_features": (("released_on", "retired_on"),),
    "product_plan_features": (("valid_from", "valid_to"),),
    "survey_responses": (("sent_at", "responded_at"),),
    "surveys": (("scale_min", "scale_max"),),
    "cs_onboardings": (("started_at", "completed_at"), ("started_at", "cancelled_at")),
    "cs_advocacy": (("requested_at", "completed_at"),),
    "cs_actions": (("opened_at", "closed_at"),),
}

# (flag, column): where the flag is true, the column decides a figure, too.
NEEDED = {
    "billing_subscription_items": (("is_recurring", "billing_interval"),),
}

# A row that points to itself where only another one makes sense.
SELF_REFERENCES = {
    "crm_accounts": ("parent_account_id", "merged_into_account_id"),
    "crm_users": ("manager_user_id",),
    "billing_subscriptions": ("renews_subscription_id",),
    "support_tickets": ("merged_into_ticket_id",),
}


@dataclass(frozen=True)
class RowRule:
    """`broken` is SQL over the contract's columns as `{column}`; true or NULL, where NULL is not broken.

    `column` is the one at fault, whose value the message shows between its name and `reason`.
    """

    column: str
    needs: tuple[str, ...]
    broken: str
    reason: str
    remedy: str


def row_rules(table: Table, now: datetime) -> list[RowRule]:
    """The rules of a raw table. `now` (UTC) is the moment after which nothing can have happened yet."""
    return [rule for column in table.columns for rule in _column_rules(table, column, now)] + list(_pair_rules(table))


def _column_rules(table: Table, column: Column, now: datetime) -> Iterator[RowRule]:
    name = column.name
    known = CURRENCIES if name in CURRENCY_COLUMNS else KNOWN_VALUES.get((table.name, name))
    if known and (table.name, name) not in DESCRIBING:
        what = "is no currency of ISO 4217" if known is CURRENCIES else "is not one of " + ", ".join(known)
        remedy = "correct it in the source; upper and lower case and outer blanks don't matter"
        yield RowRule(name, (name,), f"lower({bare(f'{{{name}}}')}) NOT IN ({literals(known)})", what, remedy)
    if bounds := RANGES.get((table.name, name)):
        low, high = bounds
        remedy = "see whether unit or sign are wrong in the source, and deliver the row again"
        yield RowRule(
            name, (name,), f"{{{name}}} NOT BETWEEN {low} AND {high}", f"is outside {low:,} to {high:,}", remedy
        )
    if column.type in ("DATE", "TIMESTAMP"):
        remedy = "deliver the true date, or leave the field empty if there is none and the contract allows it"
        yield RowRule(name, (name,), f"{{{name}}} < DATE '{EARLIEST}'", f"is before {EARLIEST}", remedy)
        if name == "_loaded_at" or name in HAPPENED.get(table.name, ()):
            latest = (now + HORIZON).isoformat(sep=" ", timespec="seconds")
            yield RowRule(
                name,
                (name,),
                f"{{{name}}} > TIMESTAMP '{latest}'",
                "lies in the future",
                "see the clock and the time zone of the source, and deliver the row again",
            )


def _pair_rules(table: Table) -> Iterator[RowRule]:
    for start, end in ORDERED.get(table.name, ()):
        # a day that stands for an instant of it is no mistake
        grace = " - INTERVAL 1 DAY" if table.by_name[start].type == "TIMESTAMP" else ""
        broken = f"{{{end}}} < {{{start}}}{grace}"
        yield RowRule(end, (start, end), broken, f"is before {start}", f"correct {start} or {end} in the source")
    for flag, column in NEEDED.get(table.name, ()):
        # a file without the column gives it to no row
        remedy = f"deliver {column}, or {flag} as false if there is none"
        yield RowRule(flag, (flag,), f"{{{flag}}} AND {{{column}}} IS NULL", f"needs a {column}", remedy)
    if "interval_count" in table.by_name:
        most = " ".join(f"WHEN '{interval}' THEN {count}" for interval, count in LONGEST.items())
        listed = ", ".join(f"{count:,} {interval}s" for interval, count in LONGEST.items())
        yield RowRule(
            "interval_count",
            ("interval_count",),
            f"{{interval_count}} NOT BETWEEN 1 AND CASE lower({bare('{billing_interval}')}) {most} END",
            f"is outside 1 to {listed}",
            "see whether count or interval are wrong in the source, and deliver the row again",
        )
    for column in SELF_REFERENCES.get(table.name, ()):
        [key] = table.key
        yield RowRule(column, (column, key), f"{{{column}}} = {{{key}}}", "is the row itself", f"correct {column}")
