-- Grain: usage row. Its id occurs twice on different events, so subscription and day are part of the key; users are unknown: the subscription stands for its team.
with usage_rows as (
    select * from {{ source('ravenstack', 'feature_usage') }}
),

subscriptions as (
    select * from {{ source('ravenstack', 'subscriptions') }}
),

final as (
    select
        cast({{ dbt.concat(['usage_rows.usage_id', "'/'", 'usage_rows.subscription_id', "'/'", 'cast(usage_rows.usage_date as ' ~ dbt.type_string() ~ ')']) }} as string) as event_id,
        cast(subscriptions.account_id as string) as account_id,
        cast(usage_rows.subscription_id as string) as user_id,
        cast(null as string) as contact_id,
        cast('feature_used' as string) as event_name,
        cast(usage_rows.feature_name as string) as feature_key,
        cast(usage_rows.usage_date as timestamp) as occurred_at,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from usage_rows
    left join subscriptions on usage_rows.subscription_id = subscriptions.subscription_id
)

select * from final
