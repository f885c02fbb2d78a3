-- Grain: period x cut. Answers at or past the survey's positive threshold / answers, with Wilson's interval.
{{ kpi_rollup(
    kpi_id='customer_satisfaction_score',
    facts=ref('int_csat_facts'),
    periods=['month', 'quarter'],
    own_cuts=['survey', 'channel', 'interaction_type', 'agent'],
    sums={
        'answers': 'count(*)',
        'satisfied': 'count(case when is_positive then 1 end)',
        'score_sum': 'sum(score)',
    },
    distincts={
        'events': ref('int_csat_invitations'), 'entity': 'contact_key', 'event_date': 'sent_on',
        'counts': {'surveyed': 'true', 'surveyed_answered': 'is_valid'},
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
