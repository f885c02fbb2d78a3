-- Grain: period x CSAT answer that counts in it.
{{ config(materialized='view') }}
select * from {{ ref('int_survey_period_facts') }}
where survey_type = 'csat'
