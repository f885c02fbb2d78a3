-- Grain: month x cut, as of the month's end. Mean lifetime value, net of acquisition and retention cost.
{{ kpi_rollup(
    kpi_id='customer_lifetime_value',
    facts=ref('int_account_lifetime_values'),
    periods=['month'],
    sums={
        'n_accounts': 'count(*)',
        'revenue': 'sum(net_revenue)',
        'acquisition': 'sum(acquisition_cost)',
        'retention': 'sum(retention_cost)',
        'historical': 'sum(historical_clv)',
        'remaining': 'sum(predicted_remaining_value)',
    },
    numerator='historical + remaining',
    denominator='n_accounts',
    n='n_accounts',
    suppressed=few_accounts('n_accounts'),
    columns={
        'accounts': 'cast(n_accounts as bigint)',
        'net_revenue': money('revenue'),
        'acquisition_cost': money('acquisition'),
        'retention_cost': money('retention'),
        'historical_clv': money('historical'),
        'predicted_remaining_value': money('remaining'),
        'predicted_total_clv': money('historical + remaining'),
        'clv_to_cac': ratio('(historical + remaining)', 'acquisition'),
    },
) }}
