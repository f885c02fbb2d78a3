-- Grain: genuine ticket x [opened_at, solved_at) in which it did not stand solved; solved_at is NULL while it does not (decision log, D41).
with tickets as (
    select * from {{ ref('int_tickets_judged') }}
    where is_genuine
),

ticket_events as (
    select * from {{ ref('stg_support__ticket_events') }}
),

-- what a clock that runs behind puts before the ticket came with it
turns as (
    select ticket_id, account_id, created_at as turned_at, cast(null as timestamp) as occurred_at, 1 as is_open
    from tickets
    union all
    select
        tickets.ticket_id,
        tickets.account_id,
        greatest(ticket_events.occurred_at, tickets.created_at) as turned_at,
        ticket_events.occurred_at,
        case when ticket_events.event_type = 'reopened' then 1 else 0 end as is_open
    from tickets
    inner join ticket_events on tickets.ticket_id = ticket_events.ticket_id
    where ticket_events.event_type in ('solved', 'closed', 'reopened')
),

-- of a solve and a reopen in one instant the solve holds
instants as (
    select
        turns.*,
        row_number() over (partition by ticket_id, turned_at order by occurred_at desc nulls last, is_open) as turn_rank
    from turns
),

ranges as (
    select
        instants.*,
        lead(turned_at) over (partition by ticket_id order by turned_at) as next_turned_at
    from instants
    where turn_rank = 1
),

final as (
    select
        ticket_id,
        account_id,
        turned_at as opened_at,
        {{ local_date('turned_at') }} as opened_on,
        next_turned_at as solved_at,
        {{ local_date('next_turned_at') }} as solved_on
    from ranges
    where is_open = 1
)

select * from final
