-- Grain: subscription; the reason is that of the churn event of its account nearest to its end, within 31 days.
with subscriptions as (
    select * from {{ source('ravenstack', 'subscriptions') }}
),

churn_events as (
    select * from {{ source('ravenstack', 'churn_events') }}
),

reasons as (
    select
        subscriptions.subscription_id,
        churn_events.reason_code,
        row_number() over (
            partition by subscriptions.subscription_id
            order by abs({{ days_between('subscriptions.end_date', 'churn_events.churn_date') }}), churn_events.churn_event_id
        ) as nearness
    from subscriptions
    inner join churn_events
        on
            subscriptions.account_id = churn_events.account_id
            and abs({{ days_between('subscriptions.end_date', 'churn_events.churn_date') }}) <= 31
),

final as (
    select
        cast(subscriptions.subscription_id as string) as subscription_id,
        cast(subscriptions.account_id as string) as account_id,
        cast(case when subscriptions.end_date is not null then 'canceled' when subscriptions.is_trial then 'trialing' else 'active' end as string) as status,
        cast('USD' as string) as currency,
        cast(subscriptions.start_date as timestamp) as started_at,
        cast(case when subscriptions.is_trial then subscriptions.start_date end as timestamp) as trial_start,
        cast(null as timestamp) as trial_end,
        cast(null as timestamp) as cancel_requested_at,
        cast(subscriptions.end_date as timestamp) as ended_at,
        cast(reasons.reason_code as string) as cancel_reason,
        cast(case when subscriptions.end_date is not null then 'voluntary' end as string) as cancel_type,
        cast(null as string) as renews_subscription_id,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from subscriptions
    left join reasons on subscriptions.subscription_id = reasons.subscription_id and reasons.nearness = 1
)

select * from final
