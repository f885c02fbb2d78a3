-- Grain: period x cut. Opening customers who are not customers at the end / opening customers.
{{ kpi_rollup(
    kpi_id='customer_churn_rate',
    facts=ref('int_account_period_revenue'),
    sums={
        'opening_customers': 'sum(case when is_opening_customer then 1 else 0 end)',
        'churned_customers': 'sum(case when is_opening_customer and not is_retained then 1 else 0 end)',
        'opening': 'sum(opening_mrr)',
        'churn': 'sum(churn_mrr)',
    },
    numerator='churned_customers',
    denominator='opening_customers',
    n='opening_customers',
    suppressed=few_accounts('opening_customers'),
    columns={
        'opening_logos': 'cast(opening_customers as bigint)',
        'churned_logos': 'cast(churned_customers as bigint)',
        'opening_mrr': money('opening'),
        'churn_mrr': money('churn'),
        'mrr_churn_rate': ratio('churn', 'opening'),
    },
) }}
