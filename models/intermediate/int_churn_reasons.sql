-- Grain: churn movement: the reason of the subscription that ended last since the customer was gained; unmapped is 'other',
-- missing is 'unknown'.
with spells as (
    select
        account_id,
        movement_date,
        movement_type,
        lag(movement_date) over (partition by account_id order by movement_date) as gained_on
    from {{ ref('int_mrr_movements') }}
    where movement_type in ('new', 'reactivation', 'churn')
),

churns as (
    select account_id, movement_date, gained_on from spells
    where movement_type = 'churn'
),

subscriptions as (
    select * from {{ ref('stg_billing__subscriptions') }}
    where ended_on is not null and {{ has_begun('status') }}
),

reason_map as (
    select * from {{ ref('churn_reason_map') }}
),

ranked as (
    select
        churns.account_id,
        churns.movement_date,
        subscriptions.cancel_reason,
        subscriptions.cancel_type,
        row_number() over (
            partition by churns.account_id, churns.movement_date
            order by subscriptions.ended_on desc nulls last, subscriptions.ended_at desc nulls last, subscriptions.subscription_id desc
        ) as recency
    from churns
    left join subscriptions
        on
            churns.account_id = subscriptions.account_id
            and churns.movement_date >= subscriptions.ended_on
            and churns.gained_on < subscriptions.ended_on
),

final as (
    select
        ranked.account_id,
        ranked.movement_date,
        case when ranked.cancel_reason is null then 'unknown' else coalesce(reason_map.cancel_reason, 'other') end as cancel_reason,
        coalesce(ranked.cancel_type, 'unknown') as cancel_type
    from ranked
    left join reason_map on lower(ranked.cancel_reason) = reason_map.raw_reason
    where ranked.recency = 1
)

select * from final
