-- Grain: month x cut. Features used / features entitled, over the account x feature pairs of accounts that pay at the end.
{{ kpi_rollup(
    kpi_id='product_adoption_rate',
    facts=ref('int_account_adoption_facts'),
    periods=['month'],
    sums={
        'paying': 'count(*)',
        'with_entitlement': 'sum(case when n_entitled > 0 then 1 else 0 end)',
        'entitled': 'sum(n_entitled)',
        'used': 'sum(n_used)',
    },
    statistics={'mean_rate': exact_mean('adoption_rate')},
    numerator='used',
    denominator='entitled',
    n='with_entitlement',
    columns={
        'accounts': 'cast(paying as bigint)',
        'accounts_with_entitlement': 'cast(with_entitlement as bigint)',
        'features_entitled': 'cast(entitled as bigint)',
        'features_used': 'cast(used as bigint)',
        'mean_account_adoption_rate': 'mean_rate',
    },
) }}
