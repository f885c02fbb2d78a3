-- Grain: period x survey response x role: 'answered' = counted in the period, 'asked' = invited in it (decision log, D20, D21).
-- Only for surveys that a KPI rests on, in the periods that it has.
with answers as (
    select * from {{ ref('int_survey_answers') }}
),

all_periods as (
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

placed as (
    select
        answers.*,
        periods.period_type,
        periods.period_start,
        row_number() over (
            partition by periods.period_type, periods.period_start, answers.survey_id, answers.contact_key, answers.ticket_id is null
            order by answers.responded_at desc, answers.loaded_at desc, answers.response_id desc
        ) as period_rank
    from answers
    inner join periods
        on
            answers.survey_type = periods.measured_type
            and answers.responded_on >= periods.period_start
            and answers.responded_on <= periods.closing_date
    where answers.is_eligible
),

{%- set shared = [
    'response_id', 'survey_type', 'account_id', 'contact_key', 'survey_id as survey', 'channel', 'interaction_type',
    'case when ticket_id is not null then related_user_id end as agent', 'onboarding_id', 'related_user_id',
    'score', 'is_positive', 'score_share', 'nps_category', 'is_valid',
] %}

answered as (
    select period_type, period_start, 'answered' as role, responded_on as cut_date, {{ shared | join(', ') }}
    from placed
    where ticket_id is not null or period_rank = 1
),

asked as (
    select periods.period_type, periods.period_start, 'asked' as role, answers.sent_on as cut_date, {{ shared | join(', ') }}
    from answers
    inner join periods
        on
            answers.survey_type = periods.measured_type
            and answers.sent_on >= periods.period_start
            and answers.sent_on <= periods.closing_date
),

final as (
    select * from answered
    union all
    select * from asked
)

select * from final
