-- Grain: period x NPS answer that counts in it x role: 'answered', with NPS's own cuts, the answer's ARR weight (decision log, D24) and its follow-up; and
-- once more, as role 'spoke', for every theme of a counted answer's comment.
{{ config(materialized='view') }}
with facts as (
    select * from {{ ref('int_survey_period_facts') }}
    where survey_type = 'nps'
),

contexts as (
    select * from {{ ref('int_nps_contexts') }}
),

balances as (
    select period_type, period_start, account_id, 12 * closing_mrr as closing_arr from {{ ref('int_account_periods') }}
),

comments as (
    select * from {{ ref('int_feedback_items') }}
    where response_id is not null
),

comment_themes as (
    select * from {{ ref('int_feedback_item_themes') }}
    where theme <> 'unclassified'
),

followups as (
    select * from {{ ref('int_survey_followups') }}
),

weighed as (
    select
        facts.period_type,
        facts.period_start,
        'answered' as role,
        facts.cut_date,
        facts.response_id,
        facts.account_id,
        facts.survey,
        facts.channel,
        facts.nps_category,
        case facts.nps_category when 'promoter' then 1 when 'detractor' then -1 else 0 end as vote,
        -- an account's ARR counts once, however many of its contacts answered
        cast(coalesce(balances.closing_arr, 0) as double)
        / count(*) over (partition by facts.period_type, facts.period_start, facts.account_id) as arr_weight,
        followups.is_followed_up_in_time,
        contexts.product,
        contexts.onboarding_rating_band,
        contexts.trained,
        contexts.resolution_time_band
    from facts
    left join contexts on facts.account_id = contexts.account_id and facts.cut_date = contexts.cut_date
    left join balances
        on
            facts.period_type = balances.period_type
            and facts.period_start = balances.period_start
            and facts.account_id = balances.account_id
    left join followups on facts.response_id = followups.response_id
),

final as (
    select weighed.*, cast(null as {{ dbt.type_string() }}) as theme from weighed
    union all
    select
        weighed.period_type,
        weighed.period_start,
        'spoke' as role,
        weighed.cut_date,
        weighed.response_id,
        weighed.account_id,
        weighed.survey,
        weighed.channel,
        weighed.nps_category,
        weighed.vote,
        cast(null as double) as arr_weight,
        weighed.is_followed_up_in_time,
        weighed.product,
        weighed.onboarding_rating_band,
        weighed.trained,
        weighed.resolution_time_band,
        comment_themes.theme
    from weighed
    inner join comments on weighed.response_id = comments.response_id
    inner join comment_themes on comments.feedback_id = comment_themes.feedback_id
)

select * from final
