-- Grain: piece of feedback x theme, with a marker on one row of each piece, so that it counts once outside its themes.
with items as (
    select * from {{ ref('int_feedback_items') }}
),

item_themes as (
    select * from {{ ref('int_feedback_item_themes') }}
),

final as (
    select
        items.feedback_id,
        items.account_id,
        items.collected_on,
        items.source as channel,
        item_themes.theme,
        items.sentiment,
        items.sentiment_label,
        items.nps_category,
        row_number() over (partition by items.feedback_id order by item_themes.theme) = 1 as is_item
    from items
    inner join item_themes on items.feedback_id = item_themes.feedback_id
)

select * from final
