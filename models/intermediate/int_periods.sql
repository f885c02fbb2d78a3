-- Grain: period_type x period_start. Month, fiscal quarter and ttm window of every month with data (decision log, D3).
with months as (
    select * from {{ ref('int_months') }}
),

windows as (
    select 'month' as period_type, month as period_start, 1 as n_months from months
    union all
    select distinct 'quarter' as period_type, quarter as period_start, 3 as n_months from months
    union all
    select 'ttm' as period_type, {{ add_months('month', -11) }} as period_start, 12 as n_months from months
),

bounded as (
    select
        period_type,
        period_start,
        {{ add_days(add_months('period_start', 'n_months'), -1) }} as period_end,
        case when period_type = 'quarter' then 3 else 1 end as step_months
    from windows
),

final as (
    select
        period_type,
        period_start,
        period_end,
        {{ add_days('period_start', -1) }} as opening_date,
        least(period_end, {{ as_of_date() }}) as closing_date,
        period_end <= {{ as_of_date() }} as is_complete,
        {{ add_months('period_start', '-step_months') }} as previous_period_start,
        {{ add_months('period_start', -12) }} as period_start_last_year
    from bounded
)

select * from final
