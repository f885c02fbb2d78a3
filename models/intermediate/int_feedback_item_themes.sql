-- Grain: piece of feedback x theme: the tool's themes, else those of the keyword seed, else 'unclassified'.
with texts as (
    select * from {{ ref('int_feedback_texts') }}
),

text_themes as (
    select * from {{ ref('int_text_themes') }}
),

listed as (
    select feedback_id, {{ each_of('tool_themes') }} as listed_theme from texts
    where tool_themes is not null
),

tool_themes as (
    select distinct feedback_id, lower({{ tidied('listed_theme') }}) as theme from listed
    where {{ tidied('listed_theme') }} is not null
),

final as (
    select texts.feedback_id, coalesce(tool_themes.theme, text_themes.theme, 'unclassified') as theme
    from texts
    left join tool_themes on texts.feedback_id = tool_themes.feedback_id
    left join text_themes on case when tool_themes.feedback_id is null then texts.text_hash end = text_themes.text_hash
)

select * from final
