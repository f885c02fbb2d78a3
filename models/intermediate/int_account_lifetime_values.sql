-- Grain: account x month since it first paid: lifetime value as of the month's end, unrounded (decision log, D81-D84).
{%- set margin = (var('gross_margin_pct') | float) / 100 %}
with life_months as (
    select * from {{ ref('int_account_life_months') }}
),

{%- set by_tenure = var('clv_lifetime_model') != 'hazard' %}

expectations as (
    select * from {{ ref('int_lifetime_expectations' if by_tenure else 'int_lifetime_hazards') }}
),

predicted as (
    select
        life_months.*,
        case when life_months.state = 'gone' then 0 else expectations.expected_remaining_months end as expected_remaining_months,
        cast(life_months.net_revenue as double) * {{ margin }}
        - cast(life_months.acquisition_cost + life_months.retention_cost as double) as historical_clv,
        cast(life_months.mrr as double) * {{ margin }} - cast(life_months.retention_cost as double) / life_months.n_months as monthly_value
    from life_months
    left join expectations
        on
            life_months.month = expectations.month
            and life_months.segment = expectations.segment
            {%- if by_tenure %}
            and life_months.tenure_months = expectations.tenure_months
            {%- endif %}
),

final as (
    select
        account_id,
        segment,
        'month' as period_type,
        month as period_start,
        closing_date as cut_date,
        net_revenue,
        acquisition_cost,
        retention_cost,
        expected_remaining_months,
        {{ exact('historical_clv') }} as historical_clv,
        {{ exact('monthly_value * expected_remaining_months') }} as predicted_remaining_value,
        {{ exact('cast(net_revenue as double) + cast(mrr as double) * expected_remaining_months') }} as predicted_total_revenue
    from predicted
)

select * from final
