-- Grain: identified contact x local day with self-service sessions: did the contact get along alone (decision log, D45).
with sessions as (
    select * from {{ ref('stg_support__self_service_sessions') }}
    where contact_id is not null
),

tickets as (
    select * from {{ ref('stg_support__tickets') }}
),

issues as (
    select
        contact_id,
        started_on as issue_on,
        max(account_id) as account_id,
        min(started_at) as window_starts_at,
        {{ add_hours('max(started_at)', var('self_service_window_hours') | int) }} as window_ends_at,
        max(case when is_resolved then 1 else 0 end) = 1 as has_yes,
        max(case when not is_resolved then 1 else 0 end) = 1 as has_no
    from sessions
    group by contact_id, started_on
),

asked as (
    select distinct issues.contact_id, issues.issue_on
    from issues
    inner join tickets
        on
            issues.contact_id = tickets.requester_contact_id
            and tickets.created_at >= issues.window_starts_at
            and tickets.created_at < issues.window_ends_at
),

final as (
    select
        issues.contact_id,
        issues.issue_on,
        issues.account_id,
        case
            when issues.window_ends_at > {{ end_of_as_of() }} then 'pending'
            when issues.has_yes then 'self_resolved'
            when issues.has_no or asked.contact_id is not null then 'not_resolved'
            else 'self_resolved'
        end as issue_status
    from issues
    left join asked on issues.contact_id = asked.contact_id and issues.issue_on = asked.issue_on
)

select * from final
