-- Grain: quarter x (all, team, csm). What customer success costs and brings; the other returns stand beside the headline.
{%- set margin = (var('gross_margin_pct') | float) / 100 %}
{%- set earned = '(expansion * ' ~ margin ~ ')' %}
{{ kpi_rollup(
    kpi_id='cs_team_roi',
    facts=ref('int_team_roi_facts'),
    actor='csm_user_id',
    cuts=['csm', 'team'],
    periods=['quarter'],
    sums={
        'cost': 'sum(cs_cost)',
        'book': 'sum(book_arr)',
        'accounts': 'sum(n_accounts)',
        'expansion': 'sum(expansion_arr)',
        'saved': 'sum(saved_arr)',
        'influenced': 'sum(advocacy_influenced_arr)',
    },
    numerator=earned ~ ' - cost',
    denominator='cost',
    n='accounts',
    columns={
        'cs_cost': money('cost'),
        'book_arr': money('book'),
        'expansion_arr': money('expansion'),
        'saved_arr': money('saved'),
        'advocacy_influenced_arr': money('influenced'),
        'roi_expansion_only': ratio('(' ~ earned ~ ' - cost)', 'cost'),
        'roi_with_saved': ratio('(' ~ earned ~ ' + saved - cost)', 'cost'),
        'cost_per_account': money('cast(cost as double) / nullif(accounts, 0)'),
    },
) }}
