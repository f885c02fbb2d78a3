"""The generated histories: repeatable, landed as they are, and awkward enough."""

from collections import Counter

import pytest

from tests.histories import history, settings, write_landing
from tests.recomputation import read_landing, recompute

SEEDS = range(12)
LABELS = {
    ("fct_mrr_movements", "movement_type"): {
        *("new", "reactivation", "resume", "expansion", "contraction", "pause", "churn", "fx"),
    },
    ("fct_mrr_movements", "movement_subtype"): {
        *("upsell_quantity", "cross_sell", "upgrade_price"),
        *("downgrade_quantity", "product_dropped", "downgrade_price"),
    },
    ("fct_renewals", "outcome"): {"upcoming", "renewed", "renewed_late", "churned", "churned_early"},
    ("fct_tickets", "fcr_status"): {"first_contact", "not_first_contact", "pending", "excluded", "unsolved"},
    ("fct_tickets", "exclusion_reason"): {"merged", "spam", "internal", "agent_initiated", "no_agent_reply"},
    ("fct_survey_responses", "reject_reason"): {"not_answered", "no_score", "out_of_scale", "superseded"},
    ("fct_onboardings", "status"): {"achieved", "open", "cancelled"},
    ("fct_feedback_items", "sentiment_label"): {"positive", "neutral", "negative"},
    ("fct_account_engagement_months", "engagement_band"): {"low", "medium", "high"},
    ("kpi_net_promoter_score", "nps_band"): {"not_positive", "positive", "good", "outstanding"},
    ("kpi_net_promoter_score", "is_significant_change"): {True, False},
    ("kpi_quarterly_expansion_revenue", "is_sudden_drop"): {True, False},
    ("kpi_quarterly_expansion_revenue", "is_consistent_decrease"): {True, False},
    ("kpi_quarterly_expansion_revenue", "is_below_team_average"): {True, False},
    ("kpi_onboarding_rating", "is_consistently_low"): {True, False},
    ("fct_account_usage_months", "is_dormant"): {True, False},
}


def test_a_seed_gives_the_same_history_again():
    assert history(3) == history(3)
    assert history(3) != history(4)


@pytest.mark.parametrize("seed", [0, 1])
def test_size(seed):
    tables = history(seed)
    assert 6 <= len(tables["crm_accounts"]) <= 25
    assert settings(seed).as_of < max(row["occurred_at"].date() for row in tables["product_events"])


def test_what_is_landed_says_the_same(tmp_path):
    written = history(2)
    write_landing(written, tmp_path)
    assert recompute(read_landing(tmp_path), settings(2)) == recompute(written, settings(2))


@pytest.mark.slow
def test_together_they_reach_every_label():
    seen = {place: Counter() for place in LABELS}
    for seed in SEEDS:
        tables = recompute(history(seed), settings(seed))
        for table, column in LABELS:
            seen[table, column].update(row[column] for row in tables[table])
    missing = {place: labels - seen[place].keys() for place, labels in LABELS.items() if labels - seen[place].keys()}
    assert not missing
