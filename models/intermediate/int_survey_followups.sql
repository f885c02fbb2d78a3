-- Grain: valid detractor answer: by when it has to be followed up, and when it was (decision log, D25).
with answers as (
    select * from {{ ref('int_survey_answers') }}
    where nps_category = 'detractor'
),

alerts as (
    select alert_id, subject_id as response_id from {{ source('history', 'mart_alerts') }}
    where alert_type = 'detractor_not_followed_up' and raised_on <= {{ as_of_date() }}
),

-- what set an action off is the answer, or the alert about it
actions as (
    select coalesce(alerts.response_id, actions.trigger_ref) as response_id, actions.closed_on
    from {{ ref('stg_cs__actions') }} as actions
    left join alerts on actions.trigger_ref = alerts.alert_id
    where actions.action_type = 'detractor_followup' and actions.status = 'done' and actions.closed_on is not null
),

touches as (
    select * from {{ ref('stg_cs__activities') }}
    where direction = 'outbound' and status = 'completed' and not is_automated
),

due as (
    select response_id, account_id, responded_at, {{ second_business_day_after('responded_on') }} as follow_up_due
    from answers
),

followed as (
    select due.response_id, actions.closed_on as followed_up_on
    from due
    inner join actions on due.response_id = actions.response_id
    union all
    select due.response_id, touches.occurred_on as followed_up_on
    from due
    inner join touches
        on
            due.account_id = touches.account_id
            and touches.occurred_at >= due.responded_at
            and touches.occurred_on <= due.follow_up_due
),

final as (
    select
        due.response_id,
        due.follow_up_due,
        min(followed.followed_up_on) as followed_up_on,
        -- judged once it was followed up in time or can no longer be
        case
            when min(followed.followed_up_on) <= due.follow_up_due then true
            when due.follow_up_due <= {{ as_of_date() }} then false
        end as is_followed_up_in_time
    from due
    left join followed on due.response_id = followed.response_id
    group by due.response_id, due.follow_up_due
)

select * from final
