{#- Days, instants and what a night knows (decision log, D1). -#}

{% macro as_of_date() -%}
    {%- if execute and not var('as_of_date') -%}
        {{ exceptions.raise_compiler_error("The var as_of_date is missing: dbt ... --vars '{as_of_date: 2025-03-31}'") }}
    {%- endif -%}
    cast('{{ var("as_of_date") or "1970-01-01" }}' as date)
{%- endmacro %}

{% macro beginning() -%} cast('1900-01-01' as date) {%- endmacro %}
{% macro far_future() -%} cast('9999-12-31' as date) {%- endmacro %}

{% macro local_date(instant) -%} {{ return(adapter.dispatch('local_date')(instant)) }} {%- endmacro %}
{% macro default__local_date(instant) -%}
    {%- if var('reporting_timezone') == 'UTC' -%}
        cast({{ instant }} as date)
    {%- else -%}
        cast(timezone('{{ var("reporting_timezone") }}', timezone('UTC', {{ instant }})) as date)
    {%- endif -%}
{%- endmacro %}
{% macro spark__local_date(instant) -%}
    cast(from_utc_timestamp({{ instant }}, '{{ var("reporting_timezone") }}') as date)
{%- endmacro %}

{#- The first UTC instant after a day. -#}
{% macro end_of_day(day) -%} {{ return(adapter.dispatch('end_of_day')(day)) }} {%- endmacro %}
{% macro default__end_of_day(day) -%}
    timezone('UTC', timezone('{{ var("reporting_timezone") }}', cast({{ add_days(day, 1) }} as timestamp)))
{%- endmacro %}
{% macro spark__end_of_day(day) -%}
    to_utc_timestamp(cast({{ add_days(day, 1) }} as timestamp), '{{ var("reporting_timezone") }}')
{%- endmacro %}

{#- What happens from then on is not known yet. -#}
{% macro end_of_as_of() -%} {{ end_of_day(as_of_date()) }} {%- endmacro %}

{% macro is_known(instant) -%} {{ instant }} < {{ end_of_as_of() }} {%- endmacro %}

{% macro add_days(day, days) -%} cast({{ dbt.dateadd('day', days, day) }} as date) {%- endmacro %}
{% macro add_months(day, months) -%} cast({{ dbt.dateadd('month', months, day) }} as date) {%- endmacro %}
{% macro days_between(first, last) -%} cast({{ dbt.datediff(first, last, 'day') }} as bigint) {%- endmacro %}
{% macro month_of(day) -%} cast(date_trunc('month', {{ day }}) as date) {%- endmacro %}

{#- First day of the fiscal quarter and year: shift so that the fiscal year starts in January, truncate, shift back. -#}
{% macro fiscal_start(part, day) -%}
    {%- set shift = (var('fiscal_year_start_month') | int) - 1 -%}
    {{ add_months("date_trunc('" ~ part ~ "', " ~ add_months(day, -shift) ~ ")", shift) }}
{%- endmacro %}
{% macro quarter_of(day) -%} {{ fiscal_start('quarter', day) }} {%- endmacro %}
{% macro fiscal_year_of(day) -%} {{ fiscal_start('year', day) }} {%- endmacro %}

{% macro add_hours(instant, hours) -%} {{ dbt.dateadd('hour', hours, instant) }} {%- endmacro %}

{#- Whole months from one day to another, both anniversaries counted; and months begun: part of a month is one. -#}
{% macro whole_months(first, last) -%}
    (cast({{ dbt.datediff(first, last, 'month') }} as bigint)
    - case when {{ add_months(first, 'cast(' ~ dbt.datediff(first, last, 'month') ~ ' as integer)') }} > {{ last }} then 1 else 0 end)
{%- endmacro %}
{% macro months_begun(first, last) -%}
    (cast({{ dbt.datediff(first, last, 'month') }} as bigint)
    + case when {{ add_months(first, 'cast(' ~ dbt.datediff(first, last, 'month') ~ ' as integer)') }} < {{ last }} then 1 else 0 end)
{%- endmacro %}
