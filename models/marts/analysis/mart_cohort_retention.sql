-- Grain: start month x age in months x segment ('all' too). Net: expansion counts, so retained MRR may exceed the start.
with states as (
    select * from {{ ref('int_account_states') }}
    where movement_type = 'new'
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

months as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month' and is_complete
),

balances as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month'
),

members as (
    select states.account_id, accounts.segment, {{ month_of('states.valid_from') }} as cohort_month
    from states
    inner join accounts on states.account_id = accounts.account_id
),

-- the cohort's money is its balance at the end of its first month
aged as (
    select
        members.account_id,
        members.segment,
        members.cohort_month,
        cast({{ dbt.datediff('members.cohort_month', 'months.period_start', 'month') }} as integer) as months_since,
        coalesce(start_balances.closing_mrr, 0) as cohort_mrr,
        coalesce(balances.closing_mrr, 0) as retained_mrr,
        case when coalesce(balances.closing_state, 'gone') <> 'gone' then 1 else 0 end as is_active
    from members
    inner join months on members.cohort_month <= months.period_start
    left join balances
        on members.account_id = balances.account_id and months.period_start = balances.period_start
    left join balances as start_balances
        on members.account_id = start_balances.account_id and members.cohort_month = start_balances.period_start
),

grouped as (
    select
        cohort_month,
        months_since,
        case when grouping(segment) = 0 then segment else 'all' end as segment_value,
        count(*) as cohort_logos,
        sum(is_active) as active_logos,
        sum(cohort_mrr) as cohort_mrr,
        sum(retained_mrr) as retained_mrr
    from aged
    group by grouping sets ((cohort_month, months_since), (cohort_month, months_since, segment))
),

final as (
    select
        cohort_month,
        months_since,
        segment_value,
        cohort_logos,
        cast(active_logos as bigint) as active_logos,
        {{ ratio('active_logos', 'cohort_logos') }} as logo_retention,
        {{ money('cohort_mrr') }} as cohort_mrr,
        {{ money('retained_mrr') }} as retained_mrr,
        {{ ratio('retained_mrr', 'cohort_mrr') }} as mrr_retention
    from grouped
)

select * from final
