-- Grain: period x cut. What moved recurring revenue: opening + movements = closing.
{%- set movements = ['new', 'reactivation', 'resume', 'expansion', 'contraction', 'pause', 'churn', 'fx'] %}
{%- set losses = ['contraction', 'pause', 'churn'] %}
{%- set sums = {'opening_sum': 'sum(opening_mrr)', 'closing_sum': 'sum(closing_mrr)', 'at_risk_sum': 'sum(mrr_at_risk)'} %}
{%- set columns = {'opening_mrr': money('opening_sum')} %}
{%- for movement in movements %}
    {%- do sums.update({movement ~ '_sum': ('-' if movement in losses else '') ~ 'sum(' ~ movement ~ '_mrr)'}) %}
    {%- do columns.update({movement ~ '_mrr': money(movement ~ '_sum')}) %}
{%- endfor %}
{%- for logos in ['opening_logos', 'new_logos', 'reactivated_logos', 'churned_logos', 'closing_logos'] %}
    {%- do sums.update({logos ~ '_sum': 'sum(' ~ logos ~ ')'}) %}
{%- endfor %}
{%- do columns.update({
    'closing_mrr': money('closing_sum'),
    'closing_arr': money('12 * closing_sum'),
    'net_new_mrr': money('new_sum + reactivation_sum + resume_sum + expansion_sum - contraction_sum - pause_sum - churn_sum'),
    'mrr_at_risk': money('at_risk_sum'),
    'quick_ratio': ratio('(new_sum + expansion_sum + reactivation_sum + resume_sum)', '(contraction_sum + churn_sum + pause_sum)'),
    'arpa': money('cast(closing_sum as double) / nullif(closing_logos_sum, 0)'),
    'opening_logos': 'cast(opening_logos_sum as bigint)',
    'new_logos': 'cast(new_logos_sum as bigint)',
    'reactivated_logos': 'cast(reactivated_logos_sum as bigint)',
    'churned_logos': 'cast(churned_logos_sum as bigint)',
    'churn_events': 'cast(churned_logos_sum as bigint)',
    'closing_logos': 'cast(closing_logos_sum as bigint)',
    'expansion_arr': money('12 * expansion_sum'),
}) %}
{{ kpi_rollup(
    kpi_id='mrr',
    facts=ref('int_mrr_month_parts'),
    months={'first': ['opening_sum', 'opening_logos_sum'], 'last': ['closing_sum', 'closing_logos_sum', 'at_risk_sum']},
    sums=sums,
    columns=columns,
    value='closing_sum',
    n='closing_logos_sum',
    suppressed=few_accounts('opening_logos_sum'),
) }}
