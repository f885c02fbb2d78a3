-- Grain: CSAT response that was asked for, with CSAT's own cuts (decision log, D21).
{{ config(materialized='view') }}
select account_id, contact_key, sent_on, is_valid, survey_id as survey, channel, interaction_type, agent
from {{ ref('int_survey_answers') }}
where survey_type = 'csat' and sent_on is not null
