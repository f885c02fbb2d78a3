-- Grain: churn event with a comment.
with churn_events as (
    select * from {{ source('ravenstack', 'churn_events') }}
),

final as (
    select
        cast(churn_event_id as string) as feedback_id,
        cast(account_id as string) as account_id,
        cast(null as string) as contact_id,
        cast('web_form' as string) as source,
        cast(churn_date as timestamp) as collected_at,
        cast(feedback_text as string) as body,
        cast(null as double) as rating,
        cast(null as double) as rating_max,
        cast(null as double) as sentiment,
        cast(null as string) as themes,
        cast(null as string) as collected_by_user_id,
        cast(null as string) as url,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from churn_events
    where feedback_text is not null
)

select * from final
