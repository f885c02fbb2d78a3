-- Grain: period x NPS response x role, with NPS's own cuts, the answer's ARR weight (decision log, D24) and its follow-up.
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

followups as (
    select * from {{ ref('int_survey_followups') }}
),

final as (
    select
        facts.period_type,
        facts.period_start,
        facts.role,
        facts.cut_date,
        facts.response_id,
        facts.account_id,
        facts.contact_key,
        facts.survey,
        facts.channel,
        facts.nps_category,
        facts.is_valid,
        case facts.nps_category when 'promoter' then 1 when 'detractor' then -1 else 0 end as vote,
        -- an account's ARR counts once, however many of its contacts answered
        cast(coalesce(balances.closing_arr, 0) as double)
        / count(*) over (partition by facts.period_type, facts.period_start, facts.role, facts.account_id) as arr_weight,
        comments.themes,
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
    left join comments on facts.response_id = comments.response_id
    left join followups on facts.response_id = followups.response_id
)

select * from final
