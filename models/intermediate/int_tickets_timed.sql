-- Grain: ticket: what happened to it and when, and its reopen window [first solve, window_ends_at) (decision log, D41, D42).
with tickets as (
    select * from {{ ref('stg_support__tickets') }}
),

ticket_events as (
    select * from {{ ref('stg_support__ticket_events') }}
),

contacts as (
    select * from {{ ref('stg_crm__contacts') }}
),

account_ids as (
    select * from {{ ref('stg_crm__account_ids') }}
),

agent_replies as (
    select * from ticket_events
    where event_type = 'public_reply' and actor_type = 'agent'
),

first_solves as (
    select
        ticket_id,
        min(occurred_at) as first_solved_at,
        {{ add_hours('min(occurred_at)', 24 * (var('fcr_reopen_window_days') | int)) }} as window_ends_at
    from ticket_events
    where event_type = 'solved'
    group by ticket_id
),

replied as (
    select
        agent_replies.ticket_id,
        min(agent_replies.occurred_at) as first_replied_at,
        count(*) as public_replies,
        sum(case when agent_replies.occurred_at < first_solves.window_ends_at then 1 else 0 end) as replies_until_window_end
    from agent_replies
    left join first_solves on agent_replies.ticket_id = first_solves.ticket_id
    group by agent_replies.ticket_id
),

-- a reopen in the same instant as a solve is taken to come before it
turns as (
    select
        ticket_events.ticket_id,
        sum(case when ticket_events.event_type = 'reopened' then 1 else 0 end) as reopens,
        max(case
            when ticket_events.event_type in ('solved', 'closed') and ticket_events.occurred_at < first_solves.window_ends_at
                then ticket_events.occurred_at
        end) as last_solved_at,
        max(case
            when ticket_events.event_type = 'reopened' and ticket_events.occurred_at < first_solves.window_ends_at
                then ticket_events.occurred_at
        end) as last_reopened_at
    from ticket_events
    left join first_solves on ticket_events.ticket_id = first_solves.ticket_id
    group by ticket_events.ticket_id
),

final as (
    select
        tickets.ticket_id,
        tickets.account_id,
        tickets.requester_contact_id,
        tickets.assignee_user_id as agent,
        tickets.channel,
        tickets.topic,
        tickets.priority,
        tickets.merged_into_ticket_id is not null as is_merged,
        tickets.is_spam,
        coalesce(account_ids.is_internal, false) as is_internal,
        tickets.is_agent_initiated,
        tickets.created_at,
        tickets.created_on,
        replied.first_replied_at,
        first_solves.first_solved_at,
        {{ local_date('first_solves.first_solved_at') }} as first_solved_on,
        first_solves.window_ends_at,
        coalesce(replied.public_replies, 0) as public_replies,
        coalesce(replied.replies_until_window_end, 0) as replies_until_window_end,
        coalesce(turns.reopens, 0) as reopens,
        turns.last_reopened_at is null or turns.last_solved_at >= turns.last_reopened_at as is_solved_at_window_end,
        {%- for event, hours in [('replied.first_replied_at', 'first_response_hours'), ('first_solves.first_solved_at', 'resolution_hours')] %}
        case
            when {{ event }} < tickets.created_at then 0
            else {{ hours_between('tickets.created_at', event) }}
        end as {{ hours }}{{ ',' if not loop.last }}
        {%- endfor %}
    from tickets
    left join first_solves on tickets.ticket_id = first_solves.ticket_id
    left join replied on tickets.ticket_id = replied.ticket_id
    left join turns on tickets.ticket_id = turns.ticket_id
    left join contacts on tickets.requester_contact_id = contacts.contact_id
    left join account_ids on contacts.source_account_id = account_ids.source_account_id
)

select * from final
