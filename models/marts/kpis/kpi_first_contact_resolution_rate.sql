-- Grain: period x cut, by first solve (never solved: by creation). first contact / decided.
{{ kpi_rollup(
    kpi_id='first_contact_resolution_rate',
    facts=ref('int_tickets_judged'),
    event_date='counted_on',
    periods=['month', 'quarter'],
    own_cuts=['agent', 'topic', 'channel'],
    sums={
        'first_contact': "sum(case when fcr_status = 'first_contact' then 1 else 0 end)",
        'first_contact_strict': "sum(case when fcr_strict_status = 'first_contact' then 1 else 0 end)",
        'decided': "sum(case when fcr_status in ('first_contact', 'not_first_contact') then 1 else 0 end)",
        'pending': "sum(case when fcr_status = 'pending' then 1 else 0 end)",
        'excluded': "sum(case when fcr_status = 'excluded' then 1 else 0 end)",
        'unsolved': "sum(case when fcr_status = 'unsolved' then 1 else 0 end)",
    },
    numerator='first_contact',
    denominator='decided',
    n='decided',
    columns={
        'n_decided': 'cast(decided as bigint)',
        'n_first_contact': 'cast(first_contact as bigint)',
        'n_first_contact_strict': 'cast(first_contact_strict as bigint)',
        'strict_rate': ratio('first_contact_strict', 'decided'),
        'n_pending': 'cast(pending as bigint)',
        'n_excluded': 'cast(excluded as bigint)',
        'n_unsolved': 'cast(unsolved as bigint)',
    },
) }}
