-- Grain: month x segment: monthly logo churn over the 12 complete months before its end, and the months it leaves.
{{ config(enabled=var('clv_lifetime_model') == 'hazard') }}
with cohorts as (
    select * from {{ ref('int_account_period_revenue') }}
    where period_type = 'month' and is_opening_customer
),

periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

life_months as (
    select * from {{ ref('int_account_life_months') }}
),

monthly as (
    select
        cohorts.period_start,
        accounts.segment,
        count(*) as n_opening,
        sum(case when cohorts.is_retained then 0 else 1 end) as n_churned
    from cohorts
    inner join accounts on cohorts.account_id = accounts.account_id
    group by cohorts.period_start, accounts.segment
),

observed as (
    select periods.period_start as month, monthly.segment, sum(monthly.n_opening) as n_opening, sum(monthly.n_churned) as n_churned
    from periods
    inner join monthly
        on
            monthly.period_start > {{ add_months('periods.period_start', '(case when periods.is_complete then -12 else -13 end)') }}
            and (monthly.period_start < periods.period_start or periods.is_complete and monthly.period_start = periods.period_start)
    group by periods.period_start, monthly.segment
),

company as (
    select month, sum(n_opening) as n_opening, sum(n_churned) as n_churned from observed group by month
),

sizes as (
    select month, segment, sum(case when state <> 'gone' then 1 else 0 end) as n_accounts
    from life_months
    group by month, segment
),

chosen as (
    select
        sizes.month,
        sizes.segment,
        case when sizes.n_accounts < 20 then company.n_opening else observed.n_opening end as n_opening,
        case when sizes.n_accounts < 20 then company.n_churned else observed.n_churned end as n_churned
    from sizes
    left join company on sizes.month = company.month
    left join observed on sizes.month = observed.month and sizes.segment = observed.segment
),

final as (
    select
        month,
        segment,
        {{ ratio('n_churned', 'n_opening') }} as monthly_churn_rate,
        least(
            cast({{ var('lifetime_cap_months') }} as double),
            coalesce({{ ratio('n_opening', 'n_churned') }}, cast({{ var('lifetime_cap_months') }} as double))
        ) as expected_remaining_months
    from chosen
)

select * from final
