-- Grain: subscription: one item a subscription, one version an item; seats times the price of a seat.
with subscriptions as (
    select * from {{ source('ravenstack', 'subscriptions') }}
),

final as (
    select
        cast(subscription_id as string) as item_version_id,
        cast(subscription_id as string) as item_id,
        cast(subscription_id as string) as subscription_id,
        cast(plan_tier as string) as plan_id,
        cast(seats as decimal(18,4)) as quantity,
        cast(case when billing_frequency = 'annual' then arr_amount else mrr_amount end / cast(seats as double) as decimal(18,4)) as unit_amount,
        cast(0 as decimal(7,4)) as discount_pct,
        cast(case when billing_frequency = 'annual' then 'year' else 'month' end as string) as billing_interval,
        cast(1 as integer) as interval_count,
        cast(true as boolean) as is_recurring,
        cast(start_date as timestamp) as effective_from,
        cast(end_date as timestamp) as effective_to,
        cast(null as timestamp) as recorded_at,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from subscriptions
)

select * from final
