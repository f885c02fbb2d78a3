-- Grain: ticket, answered or not.
with tickets as (
    select * from {{ source('ravenstack', 'support_tickets') }}
),

final as (
    select
        cast({{ dbt.concat(['ticket_id', "'/csat'"]) }} as string) as response_id,
        cast('ravenstack_csat' as string) as survey_id,
        cast(account_id as string) as account_id,
        cast(null as string) as contact_id,
        cast(closed_at as timestamp) as sent_at,
        cast(case when satisfaction_score is not null then closed_at end as timestamp) as responded_at,
        cast(satisfaction_score as integer) as score,
        cast(null as string) as comment,
        cast(ticket_id as string) as ticket_id,
        cast(null as string) as onboarding_id,
        cast(null as string) as interaction_type,
        cast(null as string) as related_user_id,
        cast(null as string) as channel,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from tickets
)

select * from final
