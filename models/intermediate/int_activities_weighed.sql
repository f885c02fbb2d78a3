-- Grain: completed activity done by a person: a touchpoint (outbound) with its weight, or reactive (inbound) (decision log, D47).
with activities as (
    select * from {{ ref('stg_cs__activities') }}
    where status = 'completed' and not is_automated and direction in ('outbound', 'inbound')
),

weights as (
    select * from {{ ref('engagement_weights') }}
),

final as (
    select
        activities.activity_id,
        activities.account_id,
        activities.user_id,
        activities.occurred_on,
        activities.direction = 'outbound' as is_touchpoint,
        case when activities.direction = 'outbound' then weights.counted_as end as counted_as,
        case when activities.direction = 'outbound' then coalesce(weights.weight, 0) else 0 end as weight,
        activities.direction = 'outbound' and coalesce(weights.is_high_value, false) as is_high_value
    from activities
    left join weights on activities.activity_type = weights.activity_type
)

select * from final
