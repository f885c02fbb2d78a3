-- Grain: ticket.
with tickets as (
    select * from {{ source('ravenstack', 'support_tickets') }}
),

final as (
    select
        cast(ticket_id as varchar) as ticket_id,
        cast(account_id as varchar) as account_id,
        cast(null as varchar) as requester_contact_id,
        cast(null as varchar) as assignee_user_id,
        cast(null as varchar) as channel,
        cast(null as varchar) as topic,
        cast(priority as varchar) as priority,
        cast('closed' as varchar) as status,
        cast(false as boolean) as is_spam,
        cast(false as boolean) as is_agent_initiated,
        cast(null as varchar) as merged_into_ticket_id,
        cast(submitted_at as timestamp) as created_at,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from tickets
)

select * from final
