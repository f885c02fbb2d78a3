-- Grain: self-service issue, anonymous session or genuine ticket, each on its day.
{{ config(materialized='view') }}
with issues as (
    select * from {{ ref('int_self_service_issues') }}
),

sessions as (
    select * from {{ ref('stg_support__self_service_sessions') }}
),

tickets as (
    select * from {{ ref('int_tickets_judged') }}
    where is_genuine
),

final as (
    select account_id, issue_on as happened_on, 'issue' as fact_type, issue_status, contact_id
    from issues
    union all
    select
        account_id,
        started_on as happened_on,
        'anonymous_session' as fact_type,
        cast(null as {{ dbt.type_string() }}) as issue_status,
        contact_id
    from sessions
    where contact_id is null
    union all
    select
        account_id,
        created_on as happened_on,
        'ticket' as fact_type,
        cast(null as {{ dbt.type_string() }}) as issue_status,
        requester_contact_id as contact_id
    from tickets
)

select * from final
