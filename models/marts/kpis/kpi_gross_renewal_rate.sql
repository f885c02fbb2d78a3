-- Grain: period x cut, by due date. (renewable - downsell - churn) / renewable; upcoming terms are not due yet.
{{ kpi_rollup(
    kpi_id='gross_renewal_rate',
    facts=ref('int_renewals'),
    event_date='due_date',
    sums={
        'renewable': 'sum(renewable_arr)',
        'renewed': 'sum(renewed_arr)',
        'downsell': 'sum(downsell_arr)',
        'churn': 'sum(churn_arr)',
        'expansion': 'sum(expansion_arr)',
        'due': 'count(*)',
        'renewed_terms': 'sum(case when is_renewed then 1 else 0 end)',
    },
    numerator='renewable - downsell - churn',
    denominator='renewable',
    n='due',
    suppressed=few_accounts('due'),
    columns={
        'renewable_arr': money('renewable'),
        'downsell_arr': money('downsell'),
        'churn_arr': money('churn'),
        'expansion_arr': money('expansion'),
        'net_renewal_rate': ratio('renewed', 'renewable'),
        'terms_due': 'cast(due as bigint)',
        'terms_renewed': 'cast(renewed_terms as bigint)',
        'logo_renewal_rate': ratio('renewed_terms', 'due'),
    },
) }}
