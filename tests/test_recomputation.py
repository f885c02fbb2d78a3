"""The published tables against the independent recomputation, cell by cell, on generated histories."""

import os

HISTORIES = int(os.environ.get("CSW_HISTORIES", "4"))
SHOWN = 20

KPI_KEY = ("period_type", "period_start", "segment_type", "segment_value")
KEYS = {
    "fct_mrr_movements": ("account_id", "movement_date", "movement_type", "movement_subtype"),
    "fct_account_mrr_months": ("account_id", "month"),
    "fct_renewals": ("term_id",),
    "fct_survey_responses": ("response_id",),
    "fct_feedback_items": ("feedback_id",),
    "fct_account_lifetime_values": ("account_id",),
    "fct_account_usage_months": ("account_id", "month"),
    "fct_account_adoption_months": ("account_id", "month"),
    "fct_onboardings": ("onboarding_id",),
    "fct_feature_adoption_months": ("month", "feature_key"),
    "mart_dormancy": ("month", "segment_type", "segment_value"),
    "fct_tickets": ("ticket_id",),
    "fct_account_support_months": ("account_id", "month"),
    "fct_account_engagement_months": ("account_id", "month"),
    "fct_actions": ("action_id",),
}
