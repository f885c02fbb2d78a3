-- Grain: account x month at whose end (or as_of) it pays.
with account_periods as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month' and closing_state = 'paying'
),

holdings as (
    select * from {{ ref('int_plan_holdings') }}
),

entitlements as (
    select * from {{ ref('int_account_entitlements') }}
),

usage_months as (
    select * from {{ ref('int_account_usage_months') }}
),

seats as (
    select account_id, month, max(n_seats) as n_seats from holdings group by account_id, month
),

counts as (
    select
        account_id,
        month,
        count(*) as n_entitled,
        sum(case when is_used then 1 else 0 end) as n_used,
        sum(case when is_core then 1 else 0 end) as n_core_entitled,
        sum(case when is_core and is_used then 1 else 0 end) as n_core_used,
        {{ joined_text('case when not is_used then feature_key end') }} as unused_features
    from entitlements
    group by account_id, month
),

final as (
    select
        account_periods.account_id,
        account_periods.period_type,
        account_periods.period_start,
        account_periods.closing_date as cut_date,
        coalesce(counts.n_entitled, 0) as n_entitled,
        coalesce(counts.n_used, 0) as n_used,
        coalesce(counts.n_core_entitled, 0) as n_core_entitled,
        coalesce(counts.n_core_used, 0) as n_core_used,
        {{ ratio('counts.n_used', 'counts.n_entitled') }} as adoption_rate,
        counts.unused_features,
        nullif(seats.n_seats, 0) as n_seats,
        coalesce(usage_months.monthly_active_users, 0) as active_users
    from account_periods
    left join counts on account_periods.account_id = counts.account_id and account_periods.period_start = counts.month
    left join seats on account_periods.account_id = seats.account_id and account_periods.period_start = seats.month
    left join usage_months
        on account_periods.account_id = usage_months.account_id and account_periods.period_start = usage_months.month
)

select * from final
