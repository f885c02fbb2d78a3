-- Grain: period x cut; csm = who drove it. Completed advocacy activities by day of completion, requests by day of request.
{{ kpi_rollup(
    kpi_id='advocacy_activity',
    facts=ref('int_advocacy_facts'),
    actor='user_id',
    periods=['month', 'quarter'],
    own_cuts=['advocacy_type'],
    sums={
        'requested': 'sum(n_requested)',
        'completed': 'sum(n_completed)',
        'influenced': 'sum(influenced_arr)',
    },
    value='completed',
    n='completed',
    columns={
        'n_requested': 'cast(requested as bigint)',
        'n_completed': 'cast(completed as bigint)',
        'completion_rate': ratio('completed', 'requested'),
        'influenced_arr': money('influenced'),
    },
) }}
