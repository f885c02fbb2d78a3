-- Grain: NPS response that was asked for, with NPS's own cuts on the day it was sent (decision log, D21, D24).
{{ config(materialized='view') }}
with asked as (
    select * from {{ ref('int_survey_answers') }}
    where survey_type = 'nps' and sent_on is not null
),

contexts as (
    select * from {{ ref('int_nps_contexts') }}
),

final as (
    select
        asked.account_id,
        asked.contact_key,
        asked.sent_on,
        asked.is_valid,
        asked.survey_id as survey,
        asked.channel,
        contexts.product,
        contexts.onboarding_rating_band,
        contexts.trained,
        contexts.resolution_time_band
    from asked
    left join contexts on asked.account_id = contexts.account_id and asked.sent_on = contexts.cut_date
)

select * from final
