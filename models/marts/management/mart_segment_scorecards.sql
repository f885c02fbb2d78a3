-- Grain: month x cut of accounts: where customers are well, where the money is, what will probably be renewed (decision log, D113).
{#- column: KPI table, its column, its period; the ttm window ends with the month #}
{%- set measures = {
    'nrr_ttm': ('kpi_net_revenue_retention', 'value', 'ttm'),
    'grr_ttm': ('kpi_gross_revenue_retention', 'value', 'ttm'),
    'logo_churn_rate_ttm': ('kpi_customer_churn_rate', 'value', 'ttm'),
    'nps': ('kpi_net_promoter_score', 'value', 'month'),
    'csat_share': ('kpi_customer_satisfaction_score', 'value', 'month'),
    'adoption_rate': ('kpi_product_adoption_rate', 'value', 'month'),
    'mean_health': ('kpi_customer_health_score', 'value', 'month'),
    'red_accounts': ('kpi_customer_health_score', 'red_accounts', 'month'),
    'red_arr': ('kpi_customer_health_score', 'red_arr', 'month'),
} %}
with months as (
    select * from {{ ref('kpi_mrr') }}
    where period_type = 'month'
),

{%- for name, (table, column, period_type) in measures.items() %}

{{ name }}_values as (
    select period_end, segment_type, segment_value, {{ column }} as {{ name }} from {{ ref(table) }}
    where period_type = '{{ period_type }}'
),
{%- endfor %}

renewals as (
    select * from {{ ref('fct_renewals') }}
    where outcome = 'upcoming'
),

cuts as (
    select * from {{ ref('int_account_cuts') }}
    where valid_from <= {{ as_of_date() }} and valid_to > {{ as_of_date() }}
),

expected as (
    select 'all' as segment_type, 'all' as segment_value, renewable_arr, expected_renewed_arr from renewals
    {%- for cut in cut_columns() %}
    union all
    select '{{ cut }}' as segment_type, cuts.{{ cut }} as segment_value, renewals.renewable_arr, renewals.expected_renewed_arr
    from renewals
    inner join cuts on renewals.account_id = cuts.account_id
    {%- endfor %}
),

-- what is still to come is known as of today only
predicted as (
    select
        {{ month_of(as_of_date()) }} as month,
        segment_type,
        segment_value,
        {{ ratio('sum(expected_renewed_arr)', 'sum(renewable_arr)') }} as predicted_renewal_rate
    from expected
    group by segment_type, segment_value
),

final as (
    select
        months.period_start as month,
        months.segment_type,
        months.segment_value,
        months.closing_logos as accounts,
        months.closing_arr as arr,
        {%- for name in measures %}
        {{ name }}_values.{{ name }},
        {%- endfor %}
        predicted.predicted_renewal_rate
    from months
    {%- for name in measures %}
    left join {{ name }}_values
        on
            months.period_end = {{ name }}_values.period_end
            and months.segment_type = {{ name }}_values.segment_type
            and months.segment_value = {{ name }}_values.segment_value
    {%- endfor %}
    left join predicted
        on
            months.period_start = predicted.month
            and months.segment_type = predicted.segment_type
            and months.segment_value = predicted.segment_value
)

select * from final
