-- Grain: piece of feedback from any channel. With fct_survey_responses the only mart that holds free text: personal data.
with items as (
    select * from {{ ref('int_feedback_items') }}
),

item_themes as (
    select * from {{ ref('int_feedback_item_themes') }}
),

actions as (
    select * from {{ ref('stg_cs__actions') }}
),

triggers as (
    select * from {{ ref('int_action_triggers') }}
),

accounts as (
    select * from {{ ref('dim_accounts') }}
),

-- the latest action on a theme for everybody, and for each account
theme_actions as (
    select
        lower(theme) as theme,
        account_id,
        action_id,
        opened_at,
        opened_on,
        row_number() over (partition by lower(theme), account_id order by opened_at desc, action_id desc) as recency
    from actions
    where theme is not null
),

mentions as (
    select items.feedback_id, items.account_id, items.collected_on, item_themes.theme
    from items
    inner join item_themes on items.feedback_id = item_themes.feedback_id
),

-- what answers this very piece comes before what answers its theme; the latest of each
answering as (
    select items.feedback_id, triggers.action_id, triggers.opened_at, 1 as nearness
    from items
    inner join triggers on items.feedback_id = triggers.answered_id
    union all
    select items.feedback_id, triggers.action_id, triggers.opened_at, 1 as nearness
    from items
    inner join triggers on items.response_id = triggers.answered_id
    union all
    select mentions.feedback_id, theme_actions.action_id, theme_actions.opened_at, 2 as nearness
    from mentions
    inner join theme_actions
        on
            mentions.theme = theme_actions.theme
            and mentions.account_id = theme_actions.account_id
            and mentions.collected_on <= theme_actions.opened_on
            and theme_actions.recency = 1
    union all
    select mentions.feedback_id, theme_actions.action_id, theme_actions.opened_at, 2 as nearness
    from mentions
    inner join theme_actions
        on
            mentions.theme = theme_actions.theme
            and theme_actions.account_id is null
            and mentions.collected_on <= theme_actions.opened_on
            and theme_actions.recency = 1
),

ranked as (
    select
        feedback_id,
        action_id,
        row_number() over (partition by feedback_id order by nearness, opened_at desc, action_id desc) as action_rank
    from answering
),

final as (
    select
        items.feedback_id,
        items.account_id,
        items.source,
        items.collected_on,
        items.body,
        items.themes,
        items.sentiment,
        items.sentiment_label,
        case when items.account_id is null then 'unknown' else accounts.segment end as segment,
        accounts.current_mrr,
        items.collected_by,
        items.url,
        ranked.action_id
    from items
    left join accounts on items.account_id = accounts.account_id
    left join ranked on items.feedback_id = ranked.feedback_id and ranked.action_rank = 1
)

select * from final
