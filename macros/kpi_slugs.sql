{#- Every KPI, in the order of the catalogue; a house test holds this list to the files of models/marts/kpis. -#}
{% macro kpi_slugs() -%}
    {{ return([
        'mrr',
        'net_revenue_retention',
        'gross_revenue_retention',
        'customer_churn_rate',
        'customer_retention_rate',
        'gross_renewal_rate',
        'quarterly_expansion_revenue',
        'customer_lifetime_value',
        'net_promoter_score',
    ]) }}
{%- endmacro %}
