-- Grain: period x cut. Opening customers still customers at the end / opening customers; the naive end over start beside it.
{{ kpi_rollup(
    kpi_id='customer_retention_rate',
    facts=ref('int_account_period_revenue'),
    sums={
        'opening_customers': 'sum(case when is_opening_customer then 1 else 0 end)',
        'retained_customers': 'sum(case when is_retained then 1 else 0 end)',
        'opening_total': 'sum(case when is_opening_logo then 1 else 0 end)',
        'closing_total': 'sum(case when is_closing_customer then 1 else 0 end)',
    },
    numerator='retained_customers',
    denominator='opening_customers',
    n='opening_customers',
    suppressed=few_accounts('opening_customers'),
    columns={
        'opening_logos': 'cast(opening_customers as bigint)',
        'retained_logos': 'cast(retained_customers as bigint)',
        'closing_logos_total': 'cast(closing_total as bigint)',
        'naive_end_over_start': ratio('closing_total', 'opening_total'),
        'opening_logos_total': 'cast(opening_total as bigint)',
    },
) }}
