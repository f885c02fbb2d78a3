-- Grain: period x (csm, team, csm x segment) x measure of the scorecard, read from the KPI tables (decision log, D113).
{{ config(materialized='view') }}
{#- measure, KPI table, column, how it is placed in a period that the KPI itself does not have:
    same: not at all; last: the longest period of the KPI that ends last inside it; sum: of the months inside it #}
{%- set measures = [
    ('accounts', 'kpi_mrr', 'closing_logos', 'same'),
    ('book_arr', 'kpi_mrr', 'closing_arr', 'same'),
    ('nrr', 'kpi_net_revenue_retention', 'value', 'same'),
    ('opening_accounts', 'kpi_net_revenue_retention', 'n', 'same'),
    ('grr', 'kpi_gross_revenue_retention', 'value', 'same'),
    ('gross_renewal_rate', 'kpi_gross_renewal_rate', 'value', 'same'),
    ('logo_churn_rate', 'kpi_customer_churn_rate', 'value', 'same'),
    ('expansion_arr', 'kpi_mrr', 'expansion_arr', 'same'),
    ('onboarding_rating', 'kpi_onboarding_rating', 'value', 'last'),
    ('ttv_median_days', 'kpi_time_to_first_value', 'km_median_days', 'last'),
    ('nps', 'kpi_net_promoter_score', 'value', 'same'),
    ('nps_n', 'kpi_net_promoter_score', 'n', 'same'),
    ('ces_ease_index', 'kpi_customer_effort_score', 'value', 'last'),
    ('csat_share', 'kpi_customer_satisfaction_score', 'value', 'last'),
    ('touchpoints', 'kpi_engagement_activity', 'touchpoints', 'sum'),
    ('weighted_touchpoints', 'kpi_engagement_activity', 'weighted_touchpoints', 'sum'),
    ('coverage_rate', 'kpi_engagement_activity', 'coverage_rate', 'last'),
    ('advocacy_completed', 'kpi_advocacy_activity', 'n_completed', 'sum'),
    ('green_arr_share', 'kpi_customer_health_score', 'green_arr_share', 'last'),
    ('red_arr_share', 'kpi_customer_health_score', 'red_arr_share', 'last'),
] %}
with periods as (
    select * from {{ ref('int_periods') }}
),

measured as (
    {%- for measure, table, column, method in measures %}
    select '{{ measure }}' as measure, '{{ method }}' as method, period_type, period_start, period_end, segment_type, segment_value,
        cast({{ column }} as double) as value
    from {{ ref(table) }}
    where segment_type in ('csm', 'team', 'csm_segment')
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- few rows: what lies in a period, the longest first, of those as long the one that ends last
preferences as (
    select
        periods.period_type,
        periods.period_start,
        parts.period_type as part_type,
        parts.period_start as part_start,
        row_number() over (
            partition by periods.period_type, periods.period_start
            order by case parts.period_type when 'ttm' then 1 when 'quarter' then 2 else 3 end, parts.period_end desc
        ) as preference
    from periods
    inner join periods as parts on periods.period_start <= parts.period_start and periods.period_end >= parts.period_end
),

placed as (
    select
        preferences.period_type,
        preferences.period_start,
        measured.segment_type,
        measured.segment_value,
        measured.measure,
        {{ value_at_least('measured.value', 'preferences.preference') }} as preferred_value,
        {{ exact_sum('measured.value') }} as summed_value,
        max(measured.method) as method
    from measured
    inner join preferences on measured.period_type = preferences.part_type and measured.period_start = preferences.part_start
    where measured.method = 'last' or (measured.method = 'sum' and measured.period_type = 'month')
    group by preferences.period_type, preferences.period_start, measured.segment_type, measured.segment_value, measured.measure
),

final as (
    select period_type, period_start, segment_type, segment_value, measure, value from measured
    where method = 'same'
    union all
    select
        period_type,
        period_start,
        segment_type,
        segment_value,
        measure,
        case when method = 'sum' then summed_value else preferred_value end as value
    from placed
)

select * from final
