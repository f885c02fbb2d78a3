-- Grain: period x survey answer that counts in it (decision log, D20). Only for surveys that a KPI rests on, in the periods that it has.
with all_periods as (
    select * from {{ ref('int_periods') }}
),

{%- set measured = {'nps': ['month', 'quarter', 'ttm'], 'csat': ['month', 'quarter'], 'ces': ['month', 'quarter'], 'onboarding': ['quarter']} %}

periods as (
    {%- for survey_type, period_types in measured.items() %}
    select '{{ survey_type }}' as measured_type, all_periods.* from all_periods
    where period_type in ('{{ period_types | join("', '") }}')
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

answers as (
    select * from {{ ref('int_survey_answers') }}
    where is_eligible
),

final as (
    select
        periods.period_type,
        periods.period_start,
        answers.responded_on as cut_date,
        answers.response_id,
        answers.survey_type,
        answers.account_id,
        answers.survey_id as survey,
        answers.channel,
        answers.interaction_type,
        answers.agent,
        answers.onboarding_id,
        answers.related_user_id,
        answers.score,
        answers.is_positive,
        answers.score_share,
        answers.nps_category
    from answers
    inner join periods
        on
            answers.survey_type = periods.measured_type
            and answers.responded_on >= periods.period_start
            and answers.responded_on <= periods.closing_date
    -- the latest in a period is the one that no other follows in it
    where answers.answered_again_on is null or answers.answered_again_on > periods.closing_date
)

select * from final
