{#- The KPI of an onboarding cohort on one of its two clocks: `observed` counts days to first value, or without it. -#}
{% macro time_to_value(kpi_id, observed, achieved, with_overdue) -%}
{%- set columns = {
    'n_started': 'cast(started as bigint)',
    'n_achieved': 'cast(reached as bigint)',
    'n_open': 'cast(still_open as bigint)',
    'n_cancelled': 'cast(cancelled as bigint)',
    'achieved_rate': ratio('reached', 'started'),
    'mean_days': ratio('total_days', 'reached'),
    'median_days': 'median_of_achieved',
    'p90_days': 'p90_of_achieved',
    'km_median_days': 'cast(' ~ kaplan_meier_median('steps') ~ ' as double)',
} -%}
{%- if with_overdue -%} {%- do columns.update({'n_overdue': 'cast(overdue as bigint)'}) -%} {%- endif -%}
{{ kpi_rollup(
    kpi_id=kpi_id,
    facts=ref('int_onboarding_outcomes'),
    event_date='started_on',
    actor='csm_user_id',
    periods=['month', 'quarter'],
    sums={
        'started': 'count(' ~ observed ~ ')',
        'reached': 'count(' ~ achieved ~ ')',
        'still_open': "count(case when status = 'open' then " ~ observed ~ ' end)',
        'cancelled': "count(case when status = 'cancelled' then " ~ observed ~ ' end)',
        'overdue': "count(case when status = 'open' and not is_within_target then " ~ observed ~ ' end)',
        'total_days': 'sum(' ~ achieved ~ ')',
    },
    statistics={
        'median_of_achieved': 'median(cast(' ~ achieved ~ ' as double))',
        'p90_of_achieved': 'percentile_cont(0.9) within group (order by cast(' ~ achieved ~ ' as double))',
        'steps': kaplan_meier_steps(observed, achieved),
    },
    numerator='total_days',
    denominator='reached',
    n='reached',
    columns=columns,
) }}
{%- endmacro %}
