-- Grain: period x CSAT response x role.
select * from {{ ref('int_survey_period_facts') }}
where survey_type = 'csat'
