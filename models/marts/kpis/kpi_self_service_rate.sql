-- Grain: period x cut, by day of the issue and of the ticket. self-resolved / (self-resolved + genuine tickets).
{{ kpi_rollup(
    kpi_id='self_service_rate',
    facts=ref('int_self_service_facts'),
    event_date='happened_on',
    periods=['month', 'quarter'],
    sums={
        'self_resolved': "sum(case when issue_status = 'self_resolved' then 1 else 0 end)",
        'decided': "sum(case when issue_status in ('self_resolved', 'not_resolved') then 1 else 0 end)",
        'pending': "sum(case when issue_status = 'pending' then 1 else 0 end)",
        'anonymous': "sum(case when fact_type = 'anonymous_session' then 1 else 0 end)",
        'genuine_tickets': "sum(case when fact_type = 'ticket' then 1 else 0 end)",
    },
    distincts={
        'entity': 'contact_id',
        'counts': {'helped_users': "fact_type = 'issue'", 'asking_users': "fact_type = 'ticket'"},
    },
    numerator='self_resolved',
    denominator='self_resolved + genuine_tickets',
    n='self_resolved + genuine_tickets',
    columns={
        'issues_decided': 'cast(decided as bigint)',
        'issues_self_resolved': 'cast(self_resolved as bigint)',
        'issues_pending': 'cast(pending as bigint)',
        'anonymous_sessions': 'cast(anonymous as bigint)',
        'tickets': 'cast(genuine_tickets as bigint)',
        'attempt_success_rate': ratio('self_resolved', 'decided'),
        'self_service_users': 'cast(helped_users as bigint)',
        'ticket_users': 'cast(asking_users as bigint)',
        'self_service_score': ratio('helped_users', 'asking_users'),
    },
) }}
