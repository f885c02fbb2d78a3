-- Grain: piece of feedback with its themes and its sentiment: the tool's, else of the score, else of the rating, else the library's.
with texts as (
    select * from {{ ref('int_feedback_texts') }}
),

theme_lists as (
    select feedback_id, {{ joined_text('theme') }} as themes from {{ ref('int_feedback_item_themes') }}
    group by feedback_id
),

library as (
    select * from {{ ref('int_text_sentiments') }}
),

judged as (
    select texts.*, theme_lists.themes, coalesce(texts.given_sentiment, library.sentiment) as sentiment
    from texts
    inner join theme_lists on texts.feedback_id = theme_lists.feedback_id
    left join library on texts.text_hash = library.text_hash
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
        themes,
        nps_category,
        sentiment,
        case
            when sentiment >= 0.05 then 'positive'
            when sentiment <= -0.05 then 'negative'
            when sentiment is not null then 'neutral'
            else 'unknown'
        end as sentiment_label,
        collected_by,
        url
    from judged
)

select * from final
