-- Grain: account (null where unmatched) x month with an event, up to the as-of date; internal accounts excluded.
with user_months as (
    select * from {{ ref('int_usage_user_months') }}
    where n_events > 0
),

account_ids as (
    select * from {{ ref('stg_crm__account_ids') }}
),

-- a user of two merged accounts is one user of the survivor
resolved as (
    select
        account_ids.account_id,
        user_months.user_id,
        user_months.month,
        sum(user_months.n_events) as n_events,
        {{ bits_joined('user_months.day_mask') }} as day_mask
    from user_months
    left join account_ids on user_months.source_account_id = account_ids.source_account_id
    where not coalesce(account_ids.is_internal, false)
    group by account_ids.account_id, user_months.user_id, user_months.month
),

final as (
    select
        account_id,
        month,
        cast(sum(n_events) as bigint) as n_events,
        cast(count(*) as bigint) as monthly_active_users,
        cast(sum({{ bits_counted('day_mask') }}) as bigint) as active_user_days,
        {{ bits_joined('day_mask') }} as day_mask,
        {{ add_days('month', last_bit(bits_joined('day_mask'))) }} as last_event_on
    from resolved
    group by account_id, month
)

select * from final
