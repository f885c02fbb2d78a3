-- Grain: period x cut, by the day collected. Mean sentiment (-1..1) of the feedback whose sentiment is known.
{%- set shown = 'case when not is_suppressed then ' %}
{%- set measures = {
    'kpi_id': 'feedback_sentiment',
    'event_date': 'collected_on',
    'periods': ['month', 'quarter'],
    'sums': {
        'items': 'count(*)',
        'judged': 'count(sentiment)',
        'sentiment_sum': 'sum(' ~ exact('sentiment') ~ ')',
        'negative': "count(case when sentiment_label = 'negative' then 1 end)",
        'neutral': "count(case when sentiment_label = 'neutral' then 1 end)",
        'positive': "count(case when sentiment_label = 'positive' then 1 end)",
        'unclassified': "count(case when theme = 'unclassified' then 1 end)",
    },
    'distincts': {'entity': 'account_id', 'counts': {'accounts': 'true'}},
    'numerator': 'sentiment_sum',
    'denominator': 'judged',
    'n': 'judged',
    'suppressed': 'judged < ' ~ var('min_responses'),
    'low_confidence': 'judged < 30',
    'hides': true,
    'columns': {
        'n_items': 'cast(items as bigint)',
        'n_accounts': 'cast(accounts as bigint)',
        'mean_sentiment': shown ~ ratio('sentiment_sum', 'judged') ~ ' end',
        'negative_share': shown ~ ratio('negative', 'judged') ~ ' end',
        'neutral_share': shown ~ ratio('neutral', 'judged') ~ ' end',
        'positive_share': shown ~ ratio('positive', 'judged') ~ ' end',
        'unclassified_share': ratio('unclassified', 'items'),
    },
} %}
with by_item as (
    {{ kpi_rollup(facts='(select * from ' ~ ref('int_feedback_sentiment_facts') ~ ' where is_item) as items', own_cuts=['channel'], **measures) }}
),

by_theme as (
    {{ kpi_rollup(facts=ref('int_feedback_sentiment_facts'), cuts=[], own_cuts=['theme'], **measures) }}
),

final as (
    select * from by_item
    union all
    select * from by_theme
    where segment_type = 'theme'
)

select * from final
