-- Grain: account x day on which it was asked for or gave an NPS answer: NPS's own cuts on that day (decision log, D24).
with answers as (
    select * from {{ ref('int_survey_answers') }}
    where survey_type = 'nps' and account_id is not null
),

days as (
    select account_id, sent_on as cut_date from answers
    where sent_on is not null
    union
    select account_id, responded_on as cut_date from answers
    where is_eligible
),

cuts as (
    select * from {{ ref('int_account_cuts') }}
),

plan_products as (
    select * from {{ ref('plan_products') }}
),

onboarding_answers as (
    select account_id, responded_on, score_share from {{ ref('int_survey_answers') }}
    where survey_type = 'onboarding' and is_eligible
),

trainings as (
    select account_id, min(occurred_on) as trained_on from {{ ref('stg_cs__activities') }}
    where activity_type = 'training' and status = 'completed'
    group by account_id
),

solved_tickets as (
    select * from {{ ref('int_tickets_timed') }}
    where first_solved_on is not null and not is_spam and not is_merged
),

onboarding_ratings as (
    select days.account_id, days.cut_date, {{ exact_mean('onboarding_answers.score_share') }} as mean_share
    from days
    inner join onboarding_answers
        on days.account_id = onboarding_answers.account_id and onboarding_answers.responded_on <= days.cut_date
    group by days.account_id, days.cut_date
),

resolutions as (
    select days.account_id, days.cut_date, median(solved_tickets.resolution_hours) as median_hours
    from days
    inner join solved_tickets
        on
            days.account_id = solved_tickets.account_id
            and solved_tickets.first_solved_on <= days.cut_date
            and solved_tickets.first_solved_on > {{ add_days('days.cut_date', -90) }}
    group by days.account_id, days.cut_date
),

final as (
    select
        days.account_id,
        days.cut_date,
        coalesce(plan_products.product_name, cuts.plan) as product,
        -- 3.5 on a scale of 1 to 5, as in kpi_onboarding_rating
        case when onboarding_ratings.mean_share >= 0.625 then 'high' when onboarding_ratings.mean_share < 0.625 then 'low' else 'no rating' end
            as onboarding_rating_band,
        case when trainings.trained_on <= days.cut_date then 'trained' else 'untrained' end as trained,
        case
            when resolutions.median_hours < 24 then 'under 1 day'
            when resolutions.median_hours <= 72 then '1-3 days'
            when resolutions.median_hours > 72 then 'over 3 days'
            else 'no ticket'
        end as resolution_time_band
    from days
    left join cuts
        on days.account_id = cuts.account_id and days.cut_date >= cuts.valid_from and days.cut_date < cuts.valid_to
    left join plan_products on cuts.plan = plan_products.plan_id
    left join onboarding_ratings
        on days.account_id = onboarding_ratings.account_id and days.cut_date = onboarding_ratings.cut_date
    left join trainings on days.account_id = trainings.account_id
    left join resolutions on days.account_id = resolutions.account_id and days.cut_date = resolutions.cut_date
)

select * from final
