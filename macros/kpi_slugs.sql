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
        'cs_team_roi',
        'customer_health_score',
        'net_promoter_score',
        'customer_satisfaction_score',
        'customer_effort_score',
        'onboarding_rating',
        'feedback_sentiment',
        'product_adoption_rate',
        'usage_frequency',
        'self_service_rate',
        'time_to_first_value',
        'time_to_value',
        'first_contact_resolution_rate',
        'engagement_activity',
        'advocacy_activity',
    ]) }}
{%- endmacro %}
