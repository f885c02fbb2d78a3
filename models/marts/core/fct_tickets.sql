-- Grain: ticket, with what first-contact resolution says about it.
with tickets as (
    select * from {{ ref('int_tickets_judged') }}
),

final as (
    select
        ticket_id,
        account_id,
        requester_contact_id,
        agent as agent_user_id,
        channel,
        topic,
        priority,
        created_at,
        first_replied_at,
        first_solved_at,
        cast(public_replies as integer) as public_replies,
        cast(reopens as integer) as reopens,
        first_response_hours,
        resolution_hours,
        fcr_status,
        fcr_strict_status,
        exclusion_reason
    from tickets
)

select * from final
