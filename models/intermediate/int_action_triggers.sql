-- Grain: action that something set off, with the id of the answer or piece of feedback that it is about (decision log, D25).
with actions as (
    select * from {{ ref('stg_cs__actions') }}
    where trigger_ref is not null
),

alerts as (
    select alert_id, subject_id as response_id from {{ source('history', 'mart_alerts') }}
    where alert_type = 'detractor_not_followed_up' and raised_on <= {{ as_of_date() }}
),

final as (
    select
        actions.action_id,
        actions.action_type,
        actions.status,
        actions.opened_at,
        actions.closed_on,
        -- who follows up an alert answers the answer that it was about
        coalesce(alerts.response_id, actions.trigger_ref) as answered_id
    from actions
    left join alerts on actions.trigger_ref = alerts.alert_id
)

select * from final
