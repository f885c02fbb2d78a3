"""What the warehouse must answer, row by row: each requirement's SELECT on the sample company, and a fact that must hold.

A fact is one boolean. It says something about the answer, not only that there is one; none of its numbers is read off our
own output.
"""

from __future__ import annotations

import re

import pytest

MONTH = "segment_type = 'all' and period_type = 'month'"
QUARTER = "segment_type = 'all' and period_type = 'quarter'"
AS_OF = "(select date_day from dim_dates where is_as_of)"
LATEST = "score_date = (select max(score_date) from fct_health_scores)"

FACTS = {
    # ---- 000
    "000-01": "select count(distinct objective) >= 3 from dim_kpis",
    "000-02": "select count(*) > 0 and bool_and(score between 0 and 100) from fct_health_scores where score is not null",
    "000-03 000-04": "select count(*) > 0 and min(priority) = 1 and count(distinct health_colour) >= 2 from mart_action_queue",
    "000-05 001-07 002-25": "select count(*) > 0 and bool_and(category = case when score >= 9 then 'promoter' when score >= 7 "
    "then 'passive' else 'detractor' end) from fct_survey_responses where survey_type = 'nps' and is_counted",
    "000-06 001-08 002-24 003-05": "select count(*) > 0 and bool_and(last_nps >= 9 or last_nps is null) from mart_advocate_candidates",
    "000-07 003-25 003-50 003-51 003-52 004-10": "select count(distinct source) >= 8 and bool_or(source = 'interview') and "
    "bool_or(source in ('social', 'review_site')) and bool_or(source in ('in_app_widget', 'web_form')) from fct_feedback_items",
    "000-08 001-10 003-26 003-45 003-53 004-15": "select count(*) > 0 and min(impact_rank) = 1 and "
    "bool_and(arr_affected >= 0) from mart_feedback_themes where source = 'all'",
    "000-09 003-61": f"select count(*) > 0 from kpi_net_promoter_score where {QUARTER} and detractors > 0 and top_detractor_themes is not null",
    "000-10 004-07": f"select bool_and(value = churned_logos / opening_logos) and max(value) > 0 from kpi_customer_churn_rate where {MONTH} and opening_logos > 0",
    "000-11 001-03 003-19": "select bool_and(abs(total - 1) < 1e-9) from (select sum(mrr_share) as total from mart_churn_reasons "
    "group by month, segment_value having sum(churned_mrr) > 0)",
    "000-12 004-08": "select count(*) > 0 and bool_and(abs(predicted_total_clv - historical_clv - predicted_remaining_value) <= 0.01) and "
    "bool_and(predicted_total_revenue >= predicted_total_clv) filter (where net_revenue >= 0) from fct_account_lifetime_values",
    "000-13 001-05": "select bool_and(clv_rank <= (select count(*) from fct_account_lifetime_values)) and count(distinct clv_decile) = 10 and "
    "min(predicted_total_clv) filter (where clv_decile = 1) >= max(predicted_total_clv) filter (where clv_decile = 2) from fct_account_lifetime_values",
    "000-14 002-29 002-30": f"select bool_and(abs(value - (opening_mrr + expansion_mrr - contraction_mrr - churn_mrr) / opening_mrr) < 1e-4) "
    f"from kpi_net_revenue_retention where {MONTH} and opening_mrr > 1000",
    "000-15": "select count(distinct movement_subtype) = 3 from fct_mrr_movements where movement_type = 'expansion'",
    "000-16": "select count(*) > 0 from mart_kpi_values where kpi_id = 'net_revenue_retention' and target > 1 and target_status is not null",
    "000-17": f"select bool_and(value = n_first_contact / n_decided) and min(value) >= 0 and max(value) <= 1 from kpi_first_contact_resolution_rate where {QUARTER} and n_decided > 0",
    "000-18 003-64": "select avg(csat_share) filter (where fcr_rate = 1) > avg(csat_share) filter (where fcr_rate = 0) from fct_account_support_months",
    "000-19 003-16": "select count(*) > 0 and bool_and(target_due is not null and target_owner is not null) from mart_kpi_values where target is not null",
    "000-20 004-01": "select bool_and(objective is not null) and count(*) filter (where is_headline) between 1 and 8 from dim_kpis",
    "000-21 001-01 002-03": "select count(distinct kpi_id) >= 23 and count(distinct kpi_id) = (select count(*) from dim_kpis) "
    "from mart_kpi_values",
    "000-22 001-11 004-14": "select count(distinct trend) >= 2 from mart_kpi_values where is_complete and trend is not null",
    "000-23": "select count(*) > 0 from fct_actions where action_type = 'detractor_followup' and outcome is not null",
    "000-24": f"select count(*) > 0 and bool_and(is_significant_change is not null) from kpi_net_promoter_score where {QUARTER} and is_complete and change is not null",
    "000-25 004-11": "select count(*) > 0 from fct_survey_responses where survey_type = 'nps' and category = 'detractor' and comment is not null and themes is not null",
    "000-26": "select count(*) > 0 and sum(detractor_n * detractor_churn_rate) / sum(detractor_n) > sum(promoter_n * promoter_churn_rate) / sum(promoter_n) "
    "from mart_nps_churn where segment_value = 'all' and detractor_n > 0 and promoter_n > 0",
    "000-27": "select count(*) > 0 from fct_actions where action_type = 'interview'",
    "000-28 001-14 002-02 002-27 003-03 003-29": "select count(distinct playbook_name) > 1 and bool_or(mean_change is not null) and "
    "bool_and(is_low_confidence or n_measured >= 10) from mart_playbook_effect where segment_value = 'all'",
    "000-29 003-02 004-13": "select count(*) = count(distinct account_id) and count(drivers_text) > 0 and count(last_feedback) > 0 from mart_account_360",
    "000-30 002-19": "select count(distinct total) = 1 from (select segment_type, sum(touchpoints) as total from kpi_engagement_activity "
    "where period_type = 'month' and segment_type in ('all', 'csm', 'team') group by segment_type)",
    # ---- 001
    "001-02 000-10": "select max(stopped_purchasing_accounts) >= 0 and bool_and(dormant_accounts <= paying_accounts) from mart_dormancy",
    "001-04": "select bool_and(abs(historical_clv - (0.8 * net_revenue - acquisition_cost - retention_cost)) <= 0.02) from fct_account_lifetime_values",
    "001-06 003-23 003-47": "select count(distinct signal) >= 2 from mart_upsell_candidates",
    "001-09 004-04": "select count(*) > 0 and bool_and(value between 0 and 1) from kpi_customer_satisfaction_score where value is not null",
    "001-12": "select bool_and(days_from_purchase >= days_to_first_value) from fct_onboardings where status = 'achieved' and purchased_on <= started_on",
    "001-13": "select count(*) > 0 from fct_onboardings join dim_accounts using (account_id) where first_value_on is not null and churned_on is not null",
    "001-15 003-39": "select count(*) > 0 and bool_and(suggested_playbook is not null) from mart_action_queue",
    # ---- 002
    "002-01 003-36": "select count(distinct lifecycle_stage) >= 5 from dim_accounts",
    "002-04": "select bool_and(abs(roi_expansion_only - (0.8 * expansion_arr - cs_cost) / cs_cost) < 1e-4) from kpi_cs_team_roi where segment_type = 'all' and cs_cost > 1000",
    "002-05": "select count(distinct category) = 4 from dim_kpis",
    "002-06 002-07": "select count(distinct segment_value) >= 2 from kpi_onboarding_rating where segment_type = 'csm' and n_responses > 0",
    "002-08": "select bool_and(not is_consistently_low or mean_rating < 3.5) from kpi_onboarding_rating",
    "002-09": f"select bool_and(value = mean_days) and bool_and(n_achieved <= n_started) from kpi_time_to_first_value where {MONTH} and n_achieved > 0",
    "002-10": "select count(distinct first_value_milestone) >= 3 from fct_onboardings",
    "002-11": "select bool_and(not higher_is_better) from dim_kpis where kpi_id in ('time_to_first_value', 'time_to_value')",
    "002-12 002-40": "select count(distinct segment_value) >= 4 from kpi_customer_effort_score where segment_type = 'interaction_type' and n_responses > 0",
    "002-13": "select count(distinct survey_id) >= 2 and bool_and(score_share between 0 and 1) from fct_survey_responses where survey_type = 'ces' and is_counted",
    "002-14": "select bool_and(ease_index between 0 and 100) and count(ease_index) > 0 from kpi_customer_effort_score",
    "002-15": "select count(distinct engagement_band) = 3 and bool_and(churn_rate_next_180d between 0 and 1) and count(distinct segment_value) >= 4 from mart_engagement_effect",
    "002-16 002-17": f"select sum(touchpoints) = sum(email_touchpoints + call_touchpoints + meeting_touchpoints + qbr_touchpoints + executive_visit_touchpoints "
    f"+ training_touchpoints) and sum(training_touchpoints) > 0 from kpi_engagement_activity where {MONTH}",
    "002-18": f"select sum(weighted_touchpoints) > sum(touchpoints) and sum(touchpoints) > sum(high_value_touchpoints) and sum(reactive_touchpoints) > 0 "
    f"from kpi_engagement_activity where {MONTH}",
    "002-20": "select count(*) > 0 from mart_action_queue where last_touch_on is not null",
    "002-21 002-22 002-23 003-63": "select count(distinct total) = 1 and min(total) > 0 from (select segment_type, sum(n_completed) as total from kpi_advocacy_activity "
    "where period_type = 'quarter' and segment_type in ('all', 'csm', 'team', 'advocacy_type') group by segment_type)",
    "002-26 002-31 002-38": "select count(*) > 0 and bool_and(segment_value is not null) and count(nps) > 0 from mart_csm_scorecards where period_type = 'ttm'",
    "002-28": f"select bool_and(abs(value - (renewable_arr - downsell_arr - churn_arr) / renewable_arr) < 1e-4 and value <= 1) from kpi_gross_renewal_rate where {MONTH} and renewable_arr > 1000",
    "002-32": "select bool_and(is_headline) from dim_kpis where kpi_id = 'net_revenue_retention'",
    "002-33 002-34": "select count(*) >= 8 and bool_and(abs(expansion_arr - upsell_arr - cross_sell_arr - price_arr) <= 0.05) from kpi_quarterly_expansion_revenue where segment_type = 'all'",
    "002-35": "select bool_and(pct_change_vs_previous <= -0.3) is not false from kpi_quarterly_expansion_revenue where is_sudden_drop",
    "002-36": "select count(*) = 0 from kpi_quarterly_expansion_revenue where is_consistent_decrease and pct_change_vs_previous >= 0",
    "002-37": "select count(*) > 0 from kpi_quarterly_expansion_revenue where is_below_team_average and segment_type = 'csm'",
    "002-39": "select count(*) > 0 and bool_and(active_days <= 31) and bool_and(monthly_active_users <= active_user_days) from fct_account_usage_months where n_events > 0",
    # ---- 003
    "003-01 003-42": "select count(distinct weight) > 1 from fct_health_components where component = 'engagement'",
    "003-04": "select bool_and(round(score_change, 8) <= -10) from fct_health_scores where is_drop_alert",
    "003-06 004-05": "select bool_and(n_used <= n_entitled) and bool_and(abs(adoption_rate - n_used / n_entitled) < 1e-9) from fct_account_adoption_months where n_entitled > 0",
    "003-07 003-08 003-09 003-10 003-11": "select count(distinct component) = 7 from fct_health_components",
    "003-12 003-35": "select count(*) = 0 from (select account_id, score_date, sum(effective_weight) as w from fct_health_components where not is_missing group by all) where abs(w - 1) > 1e-9",
    "003-13 004-09": "select count(*) filter (where is_headline) <= 8 from dim_kpis",
    "003-14": "select count(*) = 28 and bool_and(rows_total >= 0) from mart_freshness",
    "003-15": "select bool_and(n = k) from (select max(priority) as n, count(*) as k from mart_action_queue group by csm_user_id)",
    "003-17": "select count(*) > 0 from fct_survey_responses where survey_type = 'nps' and comment is not null",
    "003-18": "select sum(cohort_logos) = (select count(*) from dim_accounts where customer_since is not null) and "
    "bool_and(mrr_retention = 1) from mart_cohort_retention where months_since = 0 and segment_value = 'all'",
    "003-20 003-21 003-22": f"select bool_and(abs(opening_mrr + new_mrr + reactivation_mrr + resume_mrr + expansion_mrr - contraction_mrr - pause_mrr - churn_mrr + fx_mrr - closing_mrr) <= 0.05) "
    f"and max(quick_ratio) > 1 from kpi_mrr where {MONTH}",
    "003-24": f"select bool_and(mrr_at_risk <= closing_mrr) and max(mrr_at_risk) > 0 from kpi_mrr where {MONTH}",
    "003-27": "select count(*) > 0 and bool_and(follow_up_due > responded_on) from fct_survey_responses where follow_up_due is not null",
    "003-28": f"select bool_and(value = retained_logos / opening_logos) and bool_or(naive_end_over_start > value) from kpi_customer_retention_rate where {MONTH} and opening_logos > 0",
    "003-30": "select bool_and(strict_rate <= value) and bool_or(strict_rate < value) from kpi_first_contact_resolution_rate where n_decided > 0",
    "003-31": "select count(distinct total) = 1 from (select segment_type, sum(n_decided) as total from kpi_first_contact_resolution_rate "
    "where period_type = 'month' and segment_type in ('all', 'agent', 'topic', 'channel') group by segment_type)",
    "003-32 004-17": "select sum(auc * n_accounts) / sum(n_accounts) > 0.75 from mart_health_backtest where segment_value = 'all' and horizon_days = 90 and auc is not null",
    "003-33": "select count(*) = 0 from fct_health_scores where colour not in ('red', 'yellow', 'green', 'unknown')",
    "003-34": "select count(manual_colour) > 0 and bool_or(is_manual_disagreement) from fct_health_scores",
    "003-37 003-38": "select count(distinct loyalty_band) >= 3 and count(distinct behaviour_band) >= 3 from dim_accounts",
    "003-40": "select count(*) > 0 and bool_and(renewal_probability between 0 and 1) from fct_renewals where outcome = 'upcoming' and renewal_probability is not null",
    "003-41": "select count(*) > 0 from fct_onboardings where status = 'open'",
    "003-43": "select count(*) > 0 and bool_and(arr >= red_arr) from mart_segment_scorecards",
    "003-44": "select count(distinct month) > 6 from mart_feedback_themes",
    "003-46": "select count(*) > 0 from mart_playbook_effect where n_closed > 0",
    "003-48 004-16": "select count(distinct action_type) = 5 and bool_and(status = 'open' or not is_overdue) from fct_actions",
    "003-49": "select count(distinct channel) >= 2 from fct_survey_responses where channel is not null",
    "003-54 003-60": "select count(distinct team) >= 3 from fct_actions",
    "003-55": "select count(*) > 0 and bool_and(outcome is null) from fct_actions where status = 'open'",
    "003-56": "select min(value) >= -100 and max(value) <= 100 from kpi_net_promoter_score",
    "003-57": "select bool_and(nps_band = case when value > 70 then 'outstanding' when value > 50 then 'good' when value > 0 then 'positive' else 'not_positive' end) "
    "from kpi_net_promoter_score where segment_type = 'all' and value is not null",
    "003-58": "select bool_and(promoters + passives + detractors = n_responses) from kpi_net_promoter_score",
    "003-59": "select bool_and(abs(promoter_passive_ratio - promoters / passives) < 1e-9) from kpi_net_promoter_score where passives > 0",
    "003-62": "select count(distinct segment_value) >= 2 from kpi_net_promoter_score where segment_type = 'product'",
    "003-65": "select count(*) = count(distinct alert_id) and count(*) > 0 from mart_alerts",
    "003-66": "select count(distinct segment_value) >= 3 from kpi_net_promoter_score where segment_type = 'industry'",
    # ---- 004
    "004-02 004-03": "select count(*) = 1 from dim_kpis where kpi_id = 'net_promoter_score'",
    "004-06": f"select sum(numerator) / sum(denominator) between 0 and 1 and sum(anonymous_sessions) > 0 from kpi_self_service_rate where {MONTH}",
    "004-12": "select bool_and(mean_sentiment between -1 and 1) from mart_feedback_themes where mean_sentiment is not null",
    "004-18": "select count(*) = 0 from mart_restatements",
}


@pytest.mark.parametrize("ids", FACTS)
def test_a_requirement_is_answered(sample, ids):
    assert sample.rows(FACTS[ids]) == [(True,)]


def test_no_requirement_is_left_out():
    """The documents' rows by number: 30, 15, 40, 66 and 18 of them."""
    wanted = {
        f"{doc}-{n:02}" for doc, last in zip(range(5), (30, 15, 40, 66, 18), strict=True) for n in range(1, last + 1)
    }
    wanted = {re.sub(r"^(\d)-", r"00\1-", row) for row in wanted}
    assert {row for ids in FACTS for row in ids.split()} == wanted
