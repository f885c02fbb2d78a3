-- Grain: KPI x period x cut: the standard columns of every kpi_ table, and the value whose trend counts.
{%- set shape = [
    'kpi_id', 'period_type', 'period_start', 'period_end', 'segment_type', 'segment_value', 'value', 'numerator',
    'denominator', 'n', 'ci_low', 'ci_high', 'is_complete', 'is_suppressed', 'is_low_confidence',
] %}
with final as (
    {%- for slug in kpi_slugs() %}
    select
        {{ shape | join(', ') }},
        {%- if slug.startswith('time_to_') %}
        -- young cohorts are still unfinished: medians that count those, of cohorts older than 90 days only
        case when period_end <= {{ add_days(as_of_date(), -90) }} then km_median_days end as trend_value
        {%- else %}
        case when is_complete and not is_suppressed then value end as trend_value
        {%- endif %}
    from {{ ref('kpi_' ~ slug) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
