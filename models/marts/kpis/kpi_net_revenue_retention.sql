-- Grain: period x cut. (opening + expansion - contraction - churn) / opening, one cohort, opening exchange rates.
{{ kpi_rollup(
    kpi_id='net_revenue_retention',
    facts=ref('int_account_period_revenue'),
    sums={
        'opening': 'sum(opening_mrr)',
        'expansion': 'sum(expansion_mrr)',
        'contraction': 'sum(contraction_mrr)',
        'churn': 'sum(churn_mrr)',
        'reported': 'sum(closing_mrr_reported)',
        'accounts': 'sum(case when is_opening_customer then 1 else 0 end)',
    },
    numerator='opening + expansion - contraction - churn',
    denominator='opening',
    n='accounts',
    suppressed=few_accounts('accounts'),
    columns={
        'opening_mrr': money('opening'),
        'expansion_mrr': money('expansion'),
        'contraction_mrr': money('contraction'),
        'churn_mrr': money('churn'),
        'closing_cohort_mrr': money('opening + expansion - contraction - churn'),
        'closing_cohort_mrr_reported': money('reported'),
        'nrr_reported': ratio('reported', 'opening'),
    },
) }}
