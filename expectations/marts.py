"""What leaves: one suite a KPI family and one for the tables, over the profile of tonight's marts.

Bounds are those that arithmetic guarantees, so a value outside is a fault of the build and blocks. A surprising jump
of a KPI may be the truth, so it warns.
"""

from __future__ import annotations

from expectations.rules import Rule, Severity, Suite

_SHARE = (0.0, 1.0)
_ANY = (None, None)
_COUNT = (0.0, None)

# Every KPI by family (dim_kpis.category) with the least and greatest value it can take.
FAMILIES = {
    "financial": {
        "mrr": _COUNT,
        "net_revenue_retention": _ANY,
        "gross_revenue_retention": (None, 1.0),
        "customer_churn_rate": _SHARE,
        "customer_retention_rate": _SHARE,
        "gross_renewal_rate": _SHARE,
        "quarterly_expansion_revenue": _COUNT,
        "customer_lifetime_value": _ANY,
        "cs_team_roi": _ANY,
    },
    "health": {
        "customer_health_score": (0.0, 100.0),
        "net_promoter_score": (-100.0, 100.0),
        "customer_satisfaction_score": _SHARE,
        "customer_effort_score": (0.0, 100.0),
        "onboarding_rating": _ANY,
        "feedback_sentiment": (-1.0, 1.0),
    },
    "usage": {
        "product_adoption_rate": _SHARE,
        "usage_frequency": (1.0, 31.0),
        "self_service_rate": _SHARE,
        "time_to_first_value": _COUNT,
        "time_to_value": _COUNT,
    },
    "team_performance": {
        "first_contact_resolution_rate": _SHARE,
        "engagement_activity": _COUNT,
        "advocacy_activity": _COUNT,
    },
}

# Marts that keep all of the past: they don't shrink from one night to the next.
CUMULATIVE_MARTS = frozenset(
    {
        "fct_mrr_movements",
        "fct_account_mrr_months",
        "fct_renewals",
        "fct_survey_responses",
        "fct_feedback_items",
        "fct_tickets",
        "fct_account_usage_months",
        "fct_account_adoption_months",
        "fct_onboardings",
        "fct_health_scores",
        "dim_accounts",
        "mart_kpi_values",
    }
)

_REMEDY = (
    "This is a fault of the build, not of the data: see the model of this KPI; the published file stays as it was."
)


def _family_suite(family: str) -> Suite:
    def rule(
        name: str, kind: str, severity: Severity, remedy: str, arguments: dict[str, object], identify: tuple[str, ...]
    ) -> Rule:
        return Rule(
            name=name,
            profile="mart_kpis",
            kind=kind,
            arguments=arguments,
            severity=severity,
            remedy=remedy,
            where=("family", family),
            identify=("table_name", "period_type", *identify),
        )

    def above(upper: str, lower: str) -> dict[str, object]:
        pair = {"column_A": upper, "column_B": lower, "or_equal": True}
        return {**pair, "ignore_row_if": "either_value_is_missing"}

    pairs = "ExpectColumnPairValuesAToBeGreaterThanB"
    between = "ExpectColumnValuesToBeBetween"
    return Suite(
        f"marts_{family}",
        [
            rule("values_not_too_high", pairs, "error", _REMEDY, above("highest_allowed", "highest"), ()),
            rule("values_not_too_low", pairs, "error", _REMEDY, above("lowest", "lowest_allowed"), ()),
            rule("values_are_finite", between, "error", _REMEDY, {"column": "n_not_finite", "max_value": 0}, ()),
            rule(
                "moves_are_usual",
                between,
                "warning",
                "The last month moved far more than it ever did: read the parts in the KPI's table first.",
                {"column": "jump_sd", "max_value": 6},
                (),
            ),
        ],
    )


_TABLES_SUITE = Suite(
    "marts_tables",
    [
        Rule(
            name="history_is_kept",
            profile="mart_tables",
            kind="ExpectColumnValuesToBeBetween",
            arguments={"column": "kept_share", "min_value": 0.5},
            severity="error",
            remedy="More than half of the rows published last time are gone. See what was deleted or merged in the "
            "sources, deliver it again, then run again.",
            where=("is_judged", "yes"),
            identify=("table_name", "n_rows", "previous_rows"),
        )
    ],
)

_REMEDY_OF_LOSS = (
    "A row that was delivered is neither staged nor left out for a known reason: a fault of the loader or of a staging "
    "model. The table ops.conservation of the build file has the figures; the published file stays as it was."
)

_BOOKS_SUITE = Suite(
    "books",
    [
        Rule(
            name=name,
            profile="conservation",
            kind="ExpectColumnValuesToBeBetween",
            arguments={"column": column, "min_value": 0, "max_value": 0},
            severity="error",
            remedy=_REMEDY_OF_LOSS,
            where=("is_judged", "yes"),
            identify=("table_name", "delivered", "loaded", "quarantined", "staged", "lost", "misplaced"),
        )
        for name, column in (("no_row_is_lost", "lost"), ("loads_are_as_they_came", "misplaced"))
    ],
)

MART_SUITES = [_BOOKS_SUITE, _TABLES_SUITE, *(_family_suite(family) for family in FAMILIES)]
