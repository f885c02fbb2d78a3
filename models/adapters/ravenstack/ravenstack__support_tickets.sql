-- Grain: ticket.
with tickets as (
    select * from {{ source('ravenstack', 'support_tickets') }}
),

final as (
    select
        cast(ticket_id as string) as ticket_id,
        cast(account_id as string) as account_id,
        cast(null as string) as requester_contact_id,
        cast(null as string) as assignee_user_id,
        cast(null as string) as channel,
        cast(null as string) as topic,
        cast(priority as string) as priority,
        cast('closed' as string) as status,
        cast(false as boolean) as is_spam,
        cast(false as boolean) as is_agent_initiated,
        cast(null as string) as merged_into_ticket_id,
        cast(submitted_at as timestamp) as created_at,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from tickets
)

select * from final
