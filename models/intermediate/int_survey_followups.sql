-- Grain: valid detractor answer: by when it has to be followed up, and when it was (decision log, D25).
with answers as (
    select * from {{ ref('int_survey_answers') }}
    where nps_category = 'detractor'
),

actions as (
    select answered_id as response_id, closed_on from {{ ref('int_action_triggers') }}
    where action_type = 'detractor_followup' and status = 'done' and closed_on is not null
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
