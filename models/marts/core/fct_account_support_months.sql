-- Grain: account x month in which it was a customer at the end, had an open ticket then, or support had to do with it (decision log, D46).
with periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
),

customers as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month' and closing_state <> 'gone'
),

tickets as (
    select * from {{ ref('int_tickets_judged') }}
    where is_genuine and account_id is not null
),

open_ranges as (
    select * from {{ ref('int_tickets_open_ranges') }}
    where account_id is not null
),

ticket_events as (
    select * from {{ ref('stg_support__ticket_events') }}
),

answers as (
    select * from {{ ref('int_survey_answers') }}
    where account_id is not null
),

usage_months as (
    select * from {{ ref('int_account_usage_months') }}
),

opened as (
    select
        account_id,
        {{ month_of('created_on') }} as month,
        count(*) as tickets_opened,
        median(first_response_hours) as median_first_response_hours
    from tickets
    group by account_id, {{ month_of('created_on') }}
),

solved as (
    select
        account_id,
        {{ month_of('first_solved_on') }} as month,
        median(resolution_hours) as median_resolution_hours,
        sum(case when fcr_status = 'first_contact' then 1 else 0 end) as n_first_contact,
        sum(case when fcr_status in ('first_contact', 'not_first_contact') then 1 else 0 end) as n_decided
    from tickets
    where first_solved_on is not null
    group by account_id, {{ month_of('first_solved_on') }}
),

backlogs as (
    select open_ranges.account_id, periods.period_start as month, count(*) as open_backlog
    from periods
    inner join open_ranges
        on
            periods.closing_date >= open_ranges.opened_on
            and (open_ranges.solved_on is null or periods.closing_date < open_ranges.solved_on)
    group by open_ranges.account_id, periods.period_start
),

escalated as (
    select tickets.account_id, {{ month_of('ticket_events.occurred_on') }} as month, count(*) as escalations
    from tickets
    inner join ticket_events on tickets.ticket_id = ticket_events.ticket_id and ticket_events.event_type = 'escalated'
    group by tickets.account_id, {{ month_of('ticket_events.occurred_on') }}
),

satisfied as (
    select
        account_id,
        {{ month_of('responded_on') }} as month,
        {{ ratio('sum(case when is_positive then 1 else 0 end)', 'count(*)') }} as csat_share
    from answers
    where is_eligible and survey_type = 'csat' and ticket_id is not null
    group by account_id, {{ month_of('responded_on') }}
),

account_months as (
    select account_id, period_start as month from customers
    {%- for part in ['opened', 'solved', 'backlogs', 'escalated', 'satisfied'] %}
    union
    select account_id, month from {{ part }}
    {%- endfor %}
),

final as (
    select
        account_months.account_id,
        account_months.month,
        cast(coalesce(opened.tickets_opened, 0) as bigint) as tickets_opened,
        {{ ratio('100 * coalesce(opened.tickets_opened, 0)', 'usage_months.monthly_active_users') }} as tickets_per_100_users,
        opened.median_first_response_hours,
        solved.median_resolution_hours,
        cast(coalesce(backlogs.open_backlog, 0) as bigint) as open_backlog,
        cast(coalesce(escalated.escalations, 0) as bigint) as escalations,
        satisfied.csat_share,
        {{ ratio('solved.n_first_contact', 'solved.n_decided') }} as fcr_rate
    from account_months
    {%- for part in ['opened', 'solved', 'backlogs', 'escalated', 'satisfied', 'usage_months'] %}
    left join {{ part }} on account_months.account_id = {{ part }}.account_id and account_months.month = {{ part }}.month
    {%- endfor %}
)

select * from final
