-- Grain: period x cut. Answers at or past the survey's positive threshold / answers, with Wilson's interval.
{{ kpi_rollup(
    kpi_id='customer_satisfaction_score',
    facts=ref('int_csat_facts'),
    periods=['month', 'quarter'],
    own_cuts=['survey', 'channel', 'interaction_type', 'agent'],
    sums={
        'answers': "count(case when role = 'answered' then 1 end)",
        'satisfied': "count(case when role = 'answered' and is_positive then 1 end)",
        'score_sum': "sum(case when role = 'answered' then score else 0 end)",
        'surveyed': "count(distinct case when role = 'asked' then contact_key end)",
        'surveyed_answered': "count(distinct case when role = 'asked' and is_valid then contact_key end)",
    },
    numerator='satisfied',
    denominator='answers',
    n='answers',
    suppressed='answers < ' ~ var('min_responses'),
    low_confidence='answers < 30',
    hides=true,
    ci_low=wilson('satisfied', 'answers', '-'),
    ci_high=wilson('satisfied', 'answers', '+'),
    columns={
        'n_surveyed': 'cast(surveyed as bigint)',
        'n_responses': 'cast(answers as bigint)',
        'response_rate': ratio('surveyed_answered', 'surveyed'),
        'n_satisfied': 'cast(satisfied as bigint)',
        'mean_score': "case when segment_type = 'survey' and not is_suppressed then " ~ ratio('score_sum', 'answers') ~ ' end',
    },
) }}
