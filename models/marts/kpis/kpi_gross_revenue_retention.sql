-- Grain: period x cut. (opening - contraction - churn) / opening, never above 1: expansion does not count.
{{ kpi_rollup(
    kpi_id='gross_revenue_retention',
    facts=ref('int_account_period_revenue'),
    sums={
        'opening': 'sum(opening_mrr)',
        'contraction': 'sum(contraction_mrr)',
        'churn': 'sum(churn_mrr)',
        'accounts': 'sum(case when is_opening_customer then 1 else 0 end)',
    },
    numerator='opening - contraction - churn',
    denominator='opening',
    n='accounts',
    suppressed=few_accounts('accounts'),
    columns={
        'opening_mrr': money('opening'),
        'contraction_mrr': money('contraction'),
        'churn_mrr': money('churn'),
    },
) }}
