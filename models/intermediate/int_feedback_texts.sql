-- Grain: piece of feedback (survey comment or feedback item), with what its tool, score or rating says of it (decision log, D26).
with answers as (
    select * from {{ ref('int_survey_answers') }}
    where comment is not null
),

items as (
    select * from {{ ref('stg_surveys__feedback_items') }}
),

{%- set text = 'cast(null as ' ~ dbt.type_string() ~ ')' %}

comments as (
    select
        {{ dbt.concat(["'survey:'", 'response_id']) }} as feedback_id,
        response_id,
        account_id,
        'survey' as source,
        responded_at as collected_at,
        responded_on as collected_on,
        comment as body,
        {{ text }} as tool_themes,
        nps_category,
        case
            when nps_category is not null then case nps_category when 'promoter' then 1.0 when 'detractor' then -1.0 else 0.0 end
            else 2 * score_share - 1
        end as given_sentiment,
        {{ text }} as collected_by,
        {{ text }} as url
    from answers
),

rated_items as (
    select
        feedback_id,
        {{ text }} as response_id,
        account_id,
        source,
        collected_at,
        collected_on,
        body,
        themes as tool_themes,
        {{ text }} as nps_category,
        -- ratings are stars: 1 is the worst there is; of 1 at most they are thumbs, and 0 is down
        coalesce(
            sentiment,
            case
                when rating not between 0 and rating_max or rating_max < 1 then null
                when rating_max = 1 then 2 * rating - 1
                else 2 * (rating - 1) / (rating_max - 1) - 1
            end
        ) as given_sentiment,
        collected_by_user_id as collected_by,
        url
    from items
),

united as (
    select * from comments
    union all
    select * from rated_items
),

final as (
    select
        feedback_id,
        response_id,
        account_id,
        source,
        collected_at,
        collected_on,
        body,
        {{ dbt.hash('body') }} as text_hash,
        tool_themes,
        nps_category,
        -- compared, not clamped by least(): that passes over NULL
        cast(case when given_sentiment > 1 then 1.0 when given_sentiment < -1 then -1.0 else given_sentiment end as double) as given_sentiment,
        collected_by,
        url
    from united
)

select * from final
