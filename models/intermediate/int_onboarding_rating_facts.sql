-- Grain: period x counted onboarding answer, with the CSM who ran the onboarding (decision log, D28).
with facts as (
    select * from {{ ref('int_survey_period_facts') }}
    where survey_type = 'onboarding'
),

onboardings as (
    select * from {{ ref('stg_cs__onboardings') }}
),

final as (
    select
        facts.period_type,
        facts.period_start,
        facts.cut_date,
        facts.account_id,
        facts.score,
        facts.score_share,
        facts.is_positive,
        coalesce(onboardings.csm_user_id, facts.related_user_id) as csm_user_id
    from facts
    left join onboardings on facts.onboarding_id = onboardings.onboarding_id
)

select * from final
