-- Grain: period x counted CES answer.
{{ config(materialized='view') }}
select * from {{ ref('int_survey_period_facts') }}
where survey_type = 'ces'
