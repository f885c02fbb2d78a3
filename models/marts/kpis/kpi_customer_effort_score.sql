-- Grain: period x cut. Ease index: mean position between the hard (0) and the easy (100) end of the survey's scale.
{%- set one_survey = "case when segment_type = 'survey' and not is_suppressed then " %}
{{ kpi_rollup(
    kpi_id='customer_effort_score',
    facts=ref('int_ces_facts'),
    periods=['month', 'quarter'],
    own_cuts=['survey', 'channel', 'interaction_type', 'agent'],
    sums={
        'answers': 'count(*)',
        'easy': 'count(case when is_positive then 1 end)',
        'score_sum': 'sum(score)',
        'ease_sum': exact_sum('100 * score_share'),
    },
    numerator='ease_sum',
    denominator='answers',
    n='answers',
    suppressed='answers < ' ~ var('min_responses'),
    low_confidence='answers < 30',
    hides=true,
    columns={
        'n_responses': 'cast(answers as bigint)',
        'mean_score': one_survey ~ ratio('score_sum', 'answers') ~ ' end',
        'easy_share': one_survey ~ ratio('easy', 'answers') ~ ' end',
        'ease_index': 'case when not is_suppressed then ' ~ ratio('ease_sum', 'answers') ~ ' end',
    },
) }}
