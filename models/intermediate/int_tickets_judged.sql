-- Grain: ticket: resolved at first contact or not, and the day it is counted on (decision log, D42 to D44).
with tickets as (
    select * from {{ ref('int_tickets_timed') }}
),

repeated as (
    select distinct tickets.ticket_id
    from tickets
    inner join tickets as later_tickets
        on
            tickets.requester_contact_id = later_tickets.requester_contact_id
            and tickets.topic = later_tickets.topic
            and later_tickets.created_at >= tickets.first_solved_at
            and later_tickets.created_at < tickets.window_ends_at
    where tickets.ticket_id <> later_tickets.ticket_id
),

excluded as (
    select
        tickets.*,
        not (is_merged or is_spam or is_internal or is_agent_initiated) as is_genuine,
        case
            when is_merged then 'merged'
            when is_spam then 'spam'
            when is_internal then 'internal'
            when is_agent_initiated then 'agent_initiated'
            when first_solved_at is not null and replies_until_window_end = 0 then 'no_agent_reply'
        end as exclusion_reason
    from tickets
),

judged as (
    select
        excluded.*,
        case
            when exclusion_reason is not null then 'excluded'
            when first_solved_at is null then 'unsolved'
            when window_ends_at > {{ end_of_as_of() }} then 'pending'
            when replies_until_window_end = 1 and is_solved_at_window_end then 'first_contact'
            else 'not_first_contact'
        end as fcr_status
    from excluded
),

final as (
    select
        judged.*,
        coalesce(judged.first_solved_on, judged.created_on) as counted_on,
        case
            when judged.fcr_status = 'first_contact' and repeated.ticket_id is not null then 'not_first_contact'
            else judged.fcr_status
        end as fcr_strict_status
    from judged
    left join repeated on judged.ticket_id = repeated.ticket_id
)

select * from final
