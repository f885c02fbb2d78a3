-- Grain: account (null where unmatched) x month with an event, up to the as-of date; internal accounts excluded.
with user_months as (
    select * from {{ ref('int_usage_user_months') }}
    where n_events > 0
),

account_ids as (
    select * from {{ ref('stg_crm__account_ids') }}
),

sources as (
    select
        sources.source_account_id,
        account_ids.account_id,
        count(*) over (partition by account_ids.account_id) > 1 as has_several_sources
    from (select distinct source_account_id from user_months) as sources
    left join account_ids on sources.source_account_id = account_ids.source_account_id
    where not coalesce(account_ids.is_internal, false)
),

resolved as (
    select
        sources.account_id,
        sources.has_several_sources,
        user_months.user_id,
        user_months.month,
        user_months.n_events,
        user_months.day_mask
    from user_months
    inner join sources on user_months.source_account_id = sources.source_account_id
),

-- a user of two merged accounts is one user of the survivor; few accounts are merged, so few rows are grouped by user
users as (
    select account_id, month, n_events, day_mask
    from resolved
    where not has_several_sources
    union all
    select account_id, month, sum(n_events) as n_events, {{ bits_joined('day_mask') }} as day_mask
    from resolved
    where has_several_sources
    group by account_id, month, user_id
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
    from users
    group by account_id, month
)

select * from final
