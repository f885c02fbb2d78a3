"""The management marts of the published sample company, held against the tables that they are made of."""

from __future__ import annotations

import itertools

import pytest


def test_the_scorecard_repeats_the_kpi_tables(sample):
    pairs = [
        ("nrr", "kpi_net_revenue_retention", "value"),
        ("opening_accounts", "kpi_net_revenue_retention", "n"),
        ("grr", "kpi_gross_revenue_retention", "value"),
        ("gross_renewal_rate", "kpi_gross_renewal_rate", "value"),
        ("logo_churn_rate", "kpi_customer_churn_rate", "value"),
        ("book_arr", "kpi_mrr", "closing_arr"),
        ("expansion_arr", "kpi_quarterly_expansion_revenue", "expansion_arr"),
        ("nps", "kpi_net_promoter_score", "value"),
    ]
    for column, table, source in pairs:
        [(different, compared)] = sample.rows(
            f"""select
                count(*) filter (where cards.{column} is distinct from kpi.{source}), count(kpi.{source})
            from mart_csm_scorecards as cards
            inner join {table} as kpi using (period_type, period_start)
            where kpi.segment_type = case
                when cards.csm_user_id = 'all' then 'team'
                when cards.segment_value = 'all' then 'csm'
                else 'csm_segment'
            end
            and kpi.segment_value = case
                when cards.csm_user_id = 'all' then cards.team
                when cards.segment_value = 'all' then cards.csm_user_id
                else cards.csm_user_id || '/' || cards.segment_value
            end"""
        )
        assert different == 0, column
        assert compared > 100, column


def test_counts_of_a_longer_period_are_the_sum_of_its_months(sample):
    [(different, compared)] = sample.rows(
        """select count(*) filter (where cards.touchpoints <> months.touchpoints), count(*)
        from mart_csm_scorecards as cards
        inner join (
            select windows.period_start, months.csm_user_id, sum(months.touchpoints) as touchpoints
            from (select distinct period_start from mart_csm_scorecards where period_type = 'ttm') as windows
            inner join mart_csm_scorecards as months
                on months.period_start >= windows.period_start
                and months.period_start < windows.period_start + interval 12 month
            where months.period_type = 'month' and months.segment_value = 'all' and months.csm_user_id <> 'all'
            group by all
        ) as months using (period_start, csm_user_id)
        where cards.period_type = 'ttm' and cards.segment_value = 'all'"""
    )
    assert different == 0
    assert compared > 20


def test_a_rate_without_a_ttm_is_that_of_the_last_quarter_inside(sample):
    [(different, compared)] = sample.rows(
        """select count(*) filter (where cards.onboarding_rating is distinct from quarters.value), count(quarters.value)
        from mart_csm_scorecards as cards
        inner join (
            select windows.period_start, kpi.segment_value, max_by(coalesce(kpi.value, -1), kpi.period_end) as latest
            from (select distinct period_start from mart_csm_scorecards where period_type = 'ttm') as windows
            inner join kpi_onboarding_rating as kpi
                on kpi.segment_type = 'csm'
                and kpi.period_start >= windows.period_start
                and kpi.period_end < windows.period_start + interval 12 month
            group by all
        ) as inside on cards.period_start = inside.period_start and cards.csm_user_id = inside.segment_value
        cross join lateral (select nullif(inside.latest, -1) as value) as quarters
        where cards.period_type = 'ttm' and cards.segment_value = 'all'"""
    )
    assert different == 0
    assert compared > 5


def test_books_weighted_by_opening_mrr_come_to_the_company(sample):
    """A segment's NRR is the mean of its CSMs' weighted by opening MRR: over everybody the deviations cancel."""
    deviations = sample.rows(
        """select period_start, sum(opening_mrr * nrr_vs_segment) / sum(opening_mrr)
        from (
            select cards.period_start, cards.nrr_vs_segment, cast(kpi.opening_mrr as double) as opening_mrr
            from mart_csm_scorecards as cards
            inner join kpi_net_revenue_retention as kpi
                on kpi.period_type = 'ttm' and cards.period_start = kpi.period_start
                and kpi.segment_type = 'csm' and kpi.segment_value = cards.csm_user_id
            where cards.period_type = 'ttm' and cards.segment_value = 'all'
        )
        where period_start in (
            -- somebody without a CSM would be missing from the sum
            select period_start from kpi_net_revenue_retention where period_type = 'ttm' and segment_type = 'csm'
            group by period_start having coalesce(sum(n) filter (where segment_value = 'unassigned'), 0) = 0
        )
        group by period_start"""
    )
    assert len(deviations) >= 6
    assert [deviation for _, deviation in deviations if deviation is not None] == pytest.approx(
        [0.0] * sum(deviation is not None for _, deviation in deviations), abs=1e-6
    )


def test_segments_add_up_to_the_company(sample):
    for month, accounts, arr, red, total_accounts, total_arr, total_red in sample.rows(
        """select month,
            sum(accounts) filter (where segment_type = 'segment'), sum(arr) filter (where segment_type = 'segment'),
            sum(red_accounts) filter (where segment_type = 'segment'),
            sum(accounts) filter (where segment_type = 'all'), sum(arr) filter (where segment_type = 'all'),
            sum(red_accounts) filter (where segment_type = 'all')
        from mart_segment_scorecards group by month"""
    ):
        assert (accounts, red) == (total_accounts, total_red), month
        assert abs(arr - total_arr) < 0.05, month


def test_the_predicted_renewal_rate_is_expected_by_renewable(sample):
    [(predicted, expected)] = sample.rows(
        """select predicted_renewal_rate, (
            select sum(expected_renewed_arr)::double / sum(renewable_arr)::double from fct_renewals
            where outcome = 'upcoming'
        ) from mart_segment_scorecards
        where segment_type = 'all' and month = (select max(month) from mart_segment_scorecards)"""
    )
    assert 0 < predicted < 1
    assert predicted == pytest.approx(expected)


def test_every_account_has_a_page_and_no_page_holds_free_text(sample):
    assert sample.rows("select account_id from dim_accounts order by 1") == sample.rows(
        "select account_id from mart_account_360 order by 1"
    )
    [(shown,)] = sample.rows(
        """select count(*) from mart_account_360 as pages
        inner join fct_feedback_items as items using (account_id) where contains(pages.last_feedback, items.body)"""
    )
    assert shown == 0


def test_the_queue_lists_customers_once_by_what_is_at_stake_and_why(sample):
    rows = sample.rows(
        """select
            queue.csm_user_id, queue.priority,
            queue.arr * (1 - coalesce(queue.renewal_probability, 0)) * len(string_split(queue.reason, '; ')),
            customers.is_customer
        from mart_action_queue as queue inner join dim_accounts as customers using (account_id) order by 1, 2"""
    )
    assert all(is_customer for *_, is_customer in rows)
    for (csm, priority, stake, _), (next_csm, next_priority, next_stake, _) in itertools.pairwise(rows):
        if csm == next_csm:
            assert next_priority == priority + 1
            # ARR is rounded to the cent, and counts once for each of six reasons at most
            assert next_stake <= stake + 0.06


def test_alerts_of_a_period_speak_of_a_complete_one(sample):
    [(wrong,)] = sample.rows(
        """select count(*) from mart_alerts as alerts
        where kpi_id in ('customer_churn_rate', 'first_contact_resolution_rate') and subject_type = 'cut'
        and not exists (
            select 1 from mart_kpi_values as cells where cells.kpi_id = alerts.kpi_id and cells.is_complete
            and not cells.is_suppressed and cells.segment_type || '/' || cells.segment_value = alerts.subject_id
        )"""
    )
    assert wrong == 0
    [(alerts, ids)] = sample.rows("select count(*), count(distinct alert_id) from mart_alerts")
    assert alerts == ids > 10


def test_nothing_is_restated_on_the_first_night_and_every_closed_cell_is_remembered(sample):
    assert sample.rows("select count(*) from mart_restatements") == [(0,)]
    [(cells,)] = sample.rows("select count(*) from mart_kpi_values where is_complete")
    assert sample.rows("select count(*) from first_published_kpi_values") == [(cells,)]


def test_every_raw_table_is_as_fresh_as_its_rows(sample):
    rows = sample.rows("select source_table, rows_last_run, rows_total, hours_late, is_stale from mart_freshness")
    assert len(rows) == 28
    for table, last, total, late, stale in rows:
        assert 0 < last <= total, table
        assert stale == (late > 0), table


def test_red_renews_less_often_than_green_where_both_are_known(sample):
    rates = dict(
        sample.rows(
            """select health_colour, avg(case when outcome in ('renewed', 'renewed_late') then 1.0 else 0.0 end)
            from fct_renewals where outcome <> 'upcoming' and health_colour in ('red', 'green') group by 1"""
        )
    )
    assert rates["red"] < rates["green"]


def test_health_accounts_and_money_agree_with_the_book(sample):
    [(months, different)] = sample.rows(
        """select count(*), count(*) filter (
            where health.accounts <> mrr.closing_logos
            or abs(health.red_arr + health.yellow_arr + health.green_arr + health.unknown_arr - mrr.closing_arr) > 0.03
        )
        from kpi_customer_health_score as health
        inner join kpi_mrr as mrr using (period_type, period_start, segment_type, segment_value)"""
    )
    assert months > 100
    assert different == 0


def test_costs_and_returns_of_the_team_add_up_over_its_csms(sample):
    for row in sample.rows(
        """select period_start, sum(sign * cs_cost), sum(sign * expansion_arr), sum(sign * saved_arr)
        from (select *, if(segment_type = 'csm', 1, -1) as sign from kpi_cs_team_roi where segment_type <> 'team')
        group by period_start"""
    ):
        assert all(abs(difference) < 0.1 for difference in row[1:]), row
