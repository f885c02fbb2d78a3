-- Grain: period x CSAT answer that counts in it.
select * from {{ ref('int_survey_period_facts') }}
where survey_type = 'csat'
