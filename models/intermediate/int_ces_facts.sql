-- Grain: period x counted CES answer.
select * from {{ ref('int_survey_period_facts') }}
where survey_type = 'ces'
