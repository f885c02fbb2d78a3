-- Grain: ticket x what is known of its course: first reply, solution, escalation.
with tickets as (
    select * from {{ source('ravenstack', 'support_tickets') }}
),

ticket_events as (
    select ticket_id, 'public_reply' as event_type, {{ dbt.dateadd('minute', 'cast(first_response_time_minutes as integer)', 'cast(submitted_at as timestamp)') }} as occurred_at from tickets
    union all
    select ticket_id, 'solved' as event_type, closed_at as occurred_at from tickets
    union all
    select ticket_id, 'escalated' as event_type, submitted_at as occurred_at from tickets where escalation_flag
),

final as (
    select
        cast({{ dbt.concat(['ticket_id', "'/'", 'event_type']) }} as string) as event_id,
        cast(ticket_id as string) as ticket_id,
        cast(event_type as string) as event_type,
        cast('agent' as string) as actor_type,
        cast(occurred_at as timestamp) as occurred_at,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from ticket_events
)

select * from final
