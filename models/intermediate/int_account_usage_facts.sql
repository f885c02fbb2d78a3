-- Grain: account x month with an event, or at whose end (or as_of) it was a customer (decision log, D61).
with usage_months as (
    select * from {{ ref('int_account_usage_months') }}
    where account_id is not null
),

periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
),

customers as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month' and closing_state <> 'gone'
),

account_months as (
    select
        coalesce(usage_months.account_id, customers.account_id) as account_id,
        coalesce(usage_months.month, customers.period_start) as month,
        coalesce(usage_months.n_events, 0) as n_events,
        coalesce(usage_months.monthly_active_users, 0) as monthly_active_users,
        coalesce(usage_months.active_user_days, 0) as active_user_days,
        coalesce({{ bits_counted('usage_months.day_mask') }}, 0) as active_days,
        usage_months.last_event_on,
        coalesce(customers.closing_state = 'paying', false) as is_paying,
        coalesce(customers.closing_mrr, 0) as closing_mrr
    from usage_months
    full outer join customers
        on usage_months.account_id = customers.account_id and usage_months.month = customers.period_start
),

compared as (
    select
        account_months.*,
        {{ last_known('last_event_on', 'account_id', 'month') }} as last_event_so_far_on,
        case
            when lag(month) over (partition by account_id order by month) = {{ add_months('month', -1) }}
                then lag(n_events) over (partition by account_id order by month)
        end as previous_n_events
    from account_months
),

measured as (
    select
        compared.*,
        periods.closing_date,
        periods.is_complete,
        {{ days_between('compared.month', 'periods.closing_date') }} + 1 as n_days,
        {{ days_between('compared.last_event_so_far_on', 'periods.closing_date') }} as days_since_last_event
    from compared
    inner join periods on compared.month = periods.period_start
),

final as (
    select
        account_id,
        'month' as period_type,
        month as period_start,
        closing_date as cut_date,
        is_complete,
        n_days,
        n_events,
        previous_n_events,
        monthly_active_users,
        active_days,
        active_user_days,
        days_since_last_event,
        is_paying,
        is_paying and coalesce(days_since_last_event >= 30, true) as is_dormant,
        closing_mrr
    from measured
)

select * from final
