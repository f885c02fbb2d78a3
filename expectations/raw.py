"""What arrives: one suite a source area, over the profile of tonight's rows.

A warning is shown and the night goes on; only what would destroy the books (most of a table deleted) is an error. Rows
that break the contract never get here: loading quarantines them.
"""

from __future__ import annotations

from expectations.rules import Rule, Suite

AREAS = ("crm", "billing", "product", "support", "surveys", "cs", "finance")

# Values that the contract names, in lower case as staging reads them.
KNOWN_VALUES = {
    ("billing_subscription_items", "billing_interval"): ("day", "week", "month", "year"),
    ("billing_invoices", "status"): ("draft", "open", "paid", "uncollectible", "void"),
    ("support_tickets", "channel"): ("email", "chat", "web", "phone", "social"),
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
    ("support_self_service_sessions", "channel"): ("help_center", "bot", "community", "in_app_guide"),
    ("surveys", "survey_type"): ("nps", "csat", "ces", "onboarding", "custom"),
    ("survey_responses", "channel"): ("email", "in_app", "web", "sms"),
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
    ("cs_activities", "activity_type"): (
        "email",
        "call",
        "meeting",
        "training",
        "qbr",
        "exec_sponsor_visit",
        "onboarding_session",
        "onsite",
    ),
    ("cs_activities", "direction"): ("outbound", "inbound"),
    ("cs_activities", "status"): ("completed", "scheduled", "cancelled", "no_show"),
    ("cs_advocacy", "advocacy_type"): (
        "referral",
        "review",
        "case_study",
        "reference_call",
        "testimonial",
        "speaking",
        "community",
    ),
    ("cs_advocacy", "status"): ("requested", "committed", "completed", "declined"),
    ("cs_actions", "action_type"): ("playbook", "detractor_followup", "interview", "action_plan", "improvement"),
    ("cs_actions", "status"): ("open", "done", "dropped"),
    ("cs_health_ratings", "colour"): ("red", "yellow", "green"),
    ("fin_costs", "cost_type"): ("acquisition", "retention", "cs_team", "support", "cogs"),
}

# Numbers outside these are believable only as mistakes of units or signs.
RANGES = {
    ("billing_subscription_items", "quantity"): (0, 10_000_000),
    ("billing_subscription_items", "unit_amount"): (0, 100_000_000),
    ("billing_subscription_items", "discount_pct"): (0, 100),
    ("billing_subscription_items", "interval_count"): (1, 120),
    ("billing_invoices", "amount_subtotal"): (0, 1_000_000_000),
    ("billing_invoices", "amount_paid"): (0, 1_000_000_000),
    ("billing_refunds", "amount"): (0, 1_000_000_000),
    ("survey_responses", "score"): (0, 100),
    ("surveys", "scale_max"): (1, 100),
    ("feedback_items", "sentiment"): (-1, 1),
    ("cs_activities", "duration_minutes"): (0, 24 * 60),
    ("cs_onboardings", "target_days"): (1, 1_000),
    ("fin_exchange_rates", "rate"): (0.0000001, 10_000_000),
}


def _table_rules(area: str) -> list[Rule]:
    def rule(name: str, column: str, severity: str, remedy: str, **bounds: float) -> Rule:
        return Rule(
            name=name,
            profile="raw_tables",
            kind="ExpectColumnValuesToBeBetween",
            arguments={"column": column, **bounds},
            severity=severity,
            remedy=remedy,
            where=("area", area),
            identify=("table_name", "n_rows", "usual_rows"),
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
            "volume_is_usual",
            "volume_z",
            "warning",
            "Ask the owner of the source whether the delivery is whole; a later file with the missing rows mends it.",
            min_value=-6,
            max_value=6,
        ),
        rule(
            "arrives_on_time",
            "overdue_days",
            "warning",
            "The table has not been delivered for twice its usual gap: see that the export of the source still runs.",
            max_value=0,
        ),
    ]


def _column_rules(area: str) -> list[Rule]:
    def rule(name: str, column: str, remedy: str, **bounds: float) -> Rule:
        return Rule(
            name=name,
            profile="raw_columns",
            kind="ExpectColumnValuesToBeBetween",
            arguments={"column": column, **bounds},
            severity="warning",
            remedy=remedy,
            where=("area", area),
            identify=("table_name", "column_name", "examples"),
        )

    return [
        rule(
            "values_are_known",
            "n_unknown",
            "The contract does not name these values: correct them in the source, or add them to the contract.",
            max_value=0,
        ),
        rule(
            "numbers_are_in_range",
            "n_out_of_range",
            "See whether units or signs changed in the source (cents for units, 1-5 for 0-10), and deliver again.",
            max_value=0,
        ),
        rule(
            "missing_values_are_usual",
            "null_share_z",
            "The share of missing values moved: see whether the source renamed or emptied the field.",
            min_value=-8,
            max_value=8,
        ),
        rule(
            "scale_is_usual",
            "mean_shift_log10",
            "The mean moved by a factor of five or more: see whether units, currency or sign changed in the source.",
            max_value=0.7,
        ),
    ]


RAW_SUITES = [Suite(f"raw_{area}", [*_table_rules(area), *_column_rules(area)]) for area in AREAS]
