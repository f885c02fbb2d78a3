-- Grain: month x cut. Active user-days / monthly active users: how many days a month a user is there.
{{ kpi_rollup(
    kpi_id='usage_frequency',
    facts=ref('int_account_usage_facts'),
    periods=['month'],
    sums={
        'users': 'sum(monthly_active_users)',
        'user_days': 'sum(active_user_days)',
        'dormant': 'sum(case when is_dormant then 1 else 0 end)',
        'paying': 'sum(case when is_paying then 1 else 0 end)',
    },
    statistics={'days': 'max(n_days)'},
    numerator='user_days',
    denominator='users',
    n='users',
    columns={
        'monthly_active_users': 'cast(users as bigint)',
        'active_user_days': 'cast(user_days as bigint)',
        'stickiness': ratio('user_days', 'days * users'),
        'dormant_accounts': 'cast(dormant as bigint)',
        'paying_accounts': 'cast(paying as bigint)',
    },
) }}
