"""What arrives: one suite a source area, over the figures of tonight's rows.

An error blocks the night: what was delivered would put wrong figures into the books. A warning is shown and the night
goes on. Rows that can't be by themselves never get here: loading quarantines them (orchestration/rows.py).
"""

from __future__ import annotations

import csv
from pathlib import Path

from expectations.contradictions import CAUSES, Cause
from expectations.rules import Rule, Severity, Suite
from orchestration.contract import TABLES
from orchestration.rows import DESCRIBING, KNOWN_VALUES
from orchestration.variables import PROJECT_DIR


def activity_types(seeds: Path) -> tuple[str, ...]:
    """The types of activities that the seed gives a weight: the contract's, unless the user changed them."""
    with (seeds / "engagement_weights.csv").open(newline="", encoding="utf-8") as handle:
        return tuple(row["activity_type"] for row in csv.DictReader(handle))


# Values that the contract names but that only describe a row: another one is shown and let through.
DESCRIBED = {
    **{column: KNOWN_VALUES[column] for column in sorted(DESCRIBING)},
    ("support_tickets", "channel"): ("email", "chat", "web", "phone", "social"),
    ("support_self_service_sessions", "channel"): ("help_center", "bot", "community", "in_app_guide"),
    ("survey_responses", "channel"): ("email", "in_app", "web", "sms"),
    ("crm_contacts", "contact_role"): ("champion", "exec_sponsor", "admin", "billing", "user"),
    ("feedback_items", "source"): (
        "interview",
        "in_person",
        "feedback_session",
        "social",
        "review_site",
        "in_app_widget",
        "web_form",
        "sales_call",
    ),
    ("cs_activities", "activity_type"): activity_types(PROJECT_DIR / "seeds"),
    ("cs_advocacy", "advocacy_type"): (
        "referral",
        "review",
        "case_study",
        "reference_call",
        "testimonial",
        "speaking",
        "community",
    ),
}

# Numbers outside these are believable only as mistakes, but do no harm.
UNUSUAL = {("feedback_items", "sentiment"): (-1, 1)}

# Columns with few values, whose shares are compared with the usual ones.
CATEGORIES = {
    "crm_accounts": ("segment", "industry", "country", "is_internal"),
    "crm_contacts": ("contact_role",),
    "crm_account_owners": ("role",),
    "crm_opportunities": ("opportunity_type", "stage", "currency", "is_closed", "is_won"),
    "billing_subscriptions": ("status", "currency", "cancel_type"),
    "billing_invoices": ("currency", "status"),
    "billing_refunds": ("currency", "reason"),
    "product_events": ("event_name", "feature_key"),
    "support_tickets": ("channel", "topic", "priority", "status", "is_spam", "is_agent_initiated"),
    "support_ticket_events": ("event_type", "actor_type"),
    "support_self_service_sessions": ("channel", "topic", "is_resolved"),
    "survey_responses": ("survey_id", "channel", "interaction_type"),
    "feedback_items": ("source",),
    "cs_activities": ("activity_type", "direction", "is_automated", "status"),
    "cs_advocacy": ("advocacy_type", "status"),
    "cs_actions": ("action_type", "status"),
    "cs_health_ratings": ("colour",),
    "fin_costs": ("cost_type", "currency"),
    "fin_exchange_rates": ("from_currency", "to_currency"),
}

# What people do has hours: the instant whose clock is compared with the usual one.
HOURLY = {
    "product_events": "occurred_at",
    "support_tickets": "created_at",
    "support_ticket_events": "occurred_at",
    "support_self_service_sessions": "started_at",
    "cs_activities": "occurred_at",
}

# Days without a row are filled with the last earlier one, so one that is sent again says nothing wrong.
FILLED = ("fin_exchange_rates",)

# Numbers and fields that a KPI counts directly: when they drift, the night is blocked.
COUNTED_NUMBERS = frozenset(
    {"unit_amount", "quantity", "discount_pct", "amount_subtotal", "amount_paid", "amount", "rate"}
)
COUNTED_FIELDS = frozenset(
    {
        *COUNTED_NUMBERS,
        *("account_id", "subscription_id", "feature_key", "score", "currency", "plan_id", "billing_interval"),
        *("is_recurring", "status", "event_type", "segment", "is_internal", "is_spam", "is_agent_initiated"),
        *("is_automated", "is_resolved", "direction", "actor_type", "cost_type", "paid_at", "sent_at", "responded_at"),
        *("trial_end", "ended_at", "effective_to", "first_value_at", "completed_at"),
    }
)

_BETWEEN = "ExpectColumnValuesToBeBetween"


def _table_rules(area: str) -> list[Rule]:
    def rule(name: str, column: str, severity: Severity, remedy: str, **bounds: float) -> Rule:
        identify = ("table_name", "n_rows", "usual_rows", "n_quarantined", "n_conflicts")
        return Rule(
            name, "raw_tables", _BETWEEN, {"column": column, **bounds}, severity, remedy, ("area", area), identify
        )

    return [
        rule(
            "deletions_are_few",
            "deleted_share",
            "error",
            "More than half of the table's rows were marked deleted in one night. Deliver them again with a later "
            "_loaded_at, then run again.",
            max_value=0.5,
        ),
        rule(
            "most_rows_can_be_loaded",
            "quarantined_share",
            "error",
            "More than a tenth of the delivered rows are in quarantine: the source changed its format. ops.quarantine "
            "says what is wrong with each; deliver them right, then run again. Lines whose key can't be read leave it "
            "by csw quarantine --out and csw replay --file: mended, or with an empty raw_line.",
            max_value=0.1,
        ),
        rule(
            "most_rows_of_a_first_load_fit",
            "first_quarantined_share",
            "warning",
            "More than a tenth of the first rows of this table are in quarantine. ops.quarantine says what is wrong "
            "with each; mend them, then run csw replay.",
            max_value=0.1,
        ),
        rule(
            "copies_of_a_first_load_agree",
            "n_first_conflicts",
            "warning",
            "One file holds rows of the same key and the same _loaded_at that say different things; one of them "
            "counts. Deliver the true one with a later _loaded_at.",
            max_value=0,
        ),
        rule(
            "copies_agree",
            "n_conflicts",
            "error",
            "One file holds rows of the same key and the same _loaded_at that say different things, and nobody can "
            "tell which is true. Deliver the true one with a later _loaded_at, then run again.",
            max_value=0,
        ),
        rule(
            "delivery_is_not_empty",
            "n_empty",
            "error",
            "The file holds a header and no rows, where rows came before. Deliver it whole, then run again.",
            max_value=0,
        ),
        rule(
            "delivery_is_whole",
            "volume_z",
            "error",
            "Far fewer rows came than on the same weekday before, while the other tables came as usual. Ask the owner "
            "of the source whether the delivery is whole; a later file with the missing rows mends it.",
            min_value=-5,
        ),
        rule(
            "volume_is_usual",
            "volume_factor",
            "warning",
            "Three times as many rows came as in any night before: see whether the source sent something twice or a "
            "back-fill.",
            max_value=3,
        ),
        rule(
            "delivery_is_new",
            "repeated_share",
            "error",
            "The rows were delivered before: an earlier file was sent again in place of tonight's. Deliver tonight's, "
            "then run again.",
            max_value=0.8,
        ),
        rule(
            "rates_are_new",
            "filled_share",
            "warning",
            "The rates were delivered before, as they are at weekends and on holidays: the last ones stay in force. On "
            "another day see that the export of the source still runs.",
            max_value=0.8,
        ),
        rule(
            "rows_do_not_vanish",
            "n_vanished",
            "warning",
            "The table comes whole every night, but rows of last night are missing without a mark _deleted. Their last "
            "version stays in the books: mark them deleted, or deliver them again.",
            max_value=0,
        ),
        rule(
            "arrives_on_time",
            "overdue_days",
            "warning",
            "The table has not been delivered for longer than ever before: see that the export "
            "of the source still runs.",
            max_value=0,
        ),
    ]


def _column_rules(area: str) -> list[Rule]:
    def rule(name: str, column: str, remedy: str, severity: Severity = "warning", **bounds: float) -> Rule:
        identify = ("table_name", "column_name", "examples", "n_rows")
        return Rule(
            name, "raw_columns", _BETWEEN, {"column": column, **bounds}, severity, remedy, ("area", area), identify
        )

    def split(name: str, column: str, counted: str, remedy: str, **bounds: float) -> list[Rule]:
        """The rule twice: a column that KPIs count blocks, another one is shown."""
        return [
            rule(name, f"counted_{column}", f"{remedy} {counted}", "error", **bounds),
            rule(f"{name}_elsewhere", f"other_{column}", remedy, **bounds),
        ]

    return [
        rule(
            "values_are_known",
            "n_unknown",
            "The contract does not name these values: correct them in the source, or add them to the contract, a "
            "type of activity to seeds/engagement_weights.csv.",
            max_value=0,
        ),
        rule(
            "numbers_are_in_range",
            "n_out_of_range",
            "See whether units or signs changed in the source, and deliver again.",
            max_value=0,
        ),
        rule(
            "text_is_tidy",
            "n_untidy",
            "Texts hold no-break or invisible characters, split accents, or UTF-8 read as Latin 1. The first three are "
            "repaired in staging; the last shows as it came: export as UTF-8.",
            max_value=0,
        ),
        *split(
            "missing_values_are_usual",
            "null_share_z",
            "A KPI counts this field: deliver it filled, then run again.",
            "The share of missing values moved: see whether the source renamed or emptied the field.",
            max_value=8,
        ),
        *split(
            "scale_is_usual",
            "scale_z",
            "A KPI counts this number: deliver it in the usual unit, then run again.",
            "The numbers moved by a factor of five or more: see whether units (cents), currency or sign changed.",
            max_value=6,
        ),
    ]


def _other_rules(area: str) -> list[Rule]:
    def rule(
        name: str,
        profile: str,
        column: str,
        severity: Severity,
        remedy: str,
        identify: tuple[str, ...],
        **bounds: float,
    ) -> Rule:
        where, names = ("area", area), ("table_name", *identify)
        return Rule(name, profile, _BETWEEN, {"column": column, **bounds}, severity, remedy, where, names)

    return [
        rule(
            "columns_are_whole",
            "raw_headers",
            "n_lost",
            "error",
            "A file lacks columns that all files before it had, so its rows would empty them: see whether the source "
            "renamed them. Deliver its rows with these columns, then run again.",
            ("columns",),
            max_value=0,
        ),
        rule(
            "parents_are_known",
            "raw_references",
            "n_waiting",
            "warning",
            "These rows wait for their parent: they are kept, count in no figure of an account, and do so by "
            "themselves from the night in which the parent arrives. Deliver the parent, or correct the id.",
            ("column_name", "n_orphans", "n_waiting", "examples"),
            max_value=0,
        ),
        rule(
            "most_parents_are_known",
            "raw_references",
            "orphan_share",
            "error",
            "More than a third of tonight's rows name parents that nobody knows: ids were changed, or the parent's "
            "file is missing. Deliver what is missing, then run again.",
            ("column_name", "n_orphans", "n_rows", "examples"),
            max_value=0.34,
        ),
        rule(
            "shares_are_usual",
            "raw_values",
            "counted_share_factor",
            "error",
            "The values are shared out quite differently from before: see whether a mapping changed or columns were "
            "swapped in the source. A KPI counts them: deliver them right, then run again.",
            ("column_name", "lacking_value", "distance", "n_rows"),
            max_value=8,
        ),
        rule(
            "shares_are_usual_elsewhere",
            "raw_values",
            "other_share_factor",
            "warning",
            "The values are shared out quite differently from before: see whether a mapping changed or columns were "
            "swapped in the source.",
            ("column_name", "lacking_value", "distance", "n_rows"),
            max_value=8,
        ),
        rule(
            "values_were_seen_before",
            "raw_values",
            "unseen_share",
            "warning",
            "Many values never came before: see whether columns were swapped or codes changed in the source.",
            ("column_name", "n_rows", "unseen_share"),
            max_value=0.25,
        ),
        rule(
            "clock_is_usual",
            "raw_hours",
            "shift_evidence",
            "error",
            "The hours of the day are shifted by two or more against the nights before: timestamps must be UTC or "
            "carry their offset. Deliver them so, then run again.",
            ("column_name", "shift_hours", "n_rows"),
            max_value=20,
        ),
        rule(
            "clock_is_usual_to_the_hour",
            "raw_hours",
            "hour_evidence",
            "warning",
            "The hours of the day are shifted by one against the nights before. If that is neither summer time nor "
            "usual on such a day, see that timestamps are UTC or carry their offset.",
            ("column_name", "shift_hours", "n_rows"),
            max_value=20,
        ),
        rule(
            "scores_keep_their_scale",
            "raw_scores",
            "scale_evidence",
            "error",
            "The answers of this survey lie elsewhere on its scale than ever: see whether another scale was delivered "
            "(1-5 for 0-10). A new scale is a new survey.",
            ("survey_id", "mean_share", "usual_share", "n_rows"),
            max_value=12,
        ),
    ]


def _contradiction_rules(area: str) -> list[Rule]:
    def rule(name: str, column: str, severity: Severity, cause: Cause) -> Rule:
        judged = {"column": column, "max_value": 0}
        identify = ("table_name", "n_new", "n_all", "examples")
        return Rule(
            name, "raw_contradictions", _BETWEEN, judged, severity, cause.remedy, ("cause", cause.name), identify
        )

    causes = [cause for cause in CAUSES if cause.area == area]
    return [
        *(rule(cause.name, "n_judged", cause.severity, cause) for cause in causes),
        *(
            rule(f"{cause.name}_in_a_first_load", "n_first", "warning", cause)
            for cause in causes
            if cause.severity == "error"
        ),
    ]


RAW_SUITES = [
    Suite(f"raw_{area}", [*_table_rules(area), *_column_rules(area), *_other_rules(area), *_contradiction_rules(area)])
    for area in dict.fromkeys(table.area for table in TABLES.values())
]
