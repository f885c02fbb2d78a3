-- Grain: detractor answer of the last 90 days past its due day, with nothing done about it (decision log, D107).
with answers as (
    select * from {{ ref('fct_survey_responses') }}
    where
        category = 'detractor'
        and account_id is not null
        and followed_up_on is null
        and follow_up_due <= {{ as_of_date() }}
        and responded_on > {{ add_days(as_of_date(), -90) }}
),

touches as (
    select account_id, occurred_on from {{ ref('int_activities_weighed') }}
    where is_touchpoint and occurred_on <= {{ as_of_date() }}
),

days as (
    select * from {{ ref('dim_dates') }}
    where is_business_day and date_day <= {{ as_of_date() }}
),

touched as (
    select distinct answers.response_id
    from answers
    inner join touches on answers.account_id = touches.account_id and touches.occurred_on > answers.follow_up_due
),

waited as (
    select answers.response_id, count(*) as business_days
    from answers
    inner join days on days.date_day > answers.responded_on
    group by answers.response_id
),

final as (
    select answers.response_id, answers.account_id, answers.responded_on, waited.business_days
    from answers
    inner join waited on answers.response_id = waited.response_id
    left join touched on answers.response_id = touched.response_id
    where touched.response_id is null
)

select * from final
