-- Grain: survey response, answered or not. With fct_feedback_items the only mart that holds free text: personal data.
with answers as (
    select * from {{ ref('int_survey_answers') }}
),

comments as (
    select * from {{ ref('int_feedback_items') }}
    where response_id is not null
),

followups as (
    select * from {{ ref('int_survey_followups') }}
),

cuts as (
    select * from {{ ref('int_account_cuts') }}
),

plan_products as (
    select * from {{ ref('plan_products') }}
),

final as (
    select
        answers.response_id,
        answers.survey_id,
        answers.survey_type,
        answers.account_id,
        answers.contact_id,
        answers.responded_on,
        cast(answers.score as double) as score,
        answers.score_share,
        case
            when answers.nps_category is not null then answers.nps_category
            when answers.is_positive then 'positive'
            when not answers.is_positive then 'not_positive'
        end as category,
        answers.comment,
        comments.sentiment,
        comments.themes,
        coalesce(cuts.csm, 'unassigned') as csm_user_id,
        coalesce(cuts.segment, 'unknown') as segment,
        answers.interaction_type,
        answers.channel,
        coalesce(plan_products.product_name, cuts.plan) as product_name,
        answers.reject_reason is null as is_counted,
        answers.reject_reason,
        followups.follow_up_due,
        followups.followed_up_on
    from answers
    left join comments on answers.response_id = comments.response_id
    left join followups on answers.response_id = followups.response_id
    left join cuts
        on
            answers.account_id = cuts.account_id
            and coalesce(answers.responded_on, answers.sent_on) >= cuts.valid_from
            and coalesce(answers.responded_on, answers.sent_on) < cuts.valid_to
    left join plan_products on cuts.plan = plan_products.plan_id
)

select * from final
