{#- Bits of a month's day mask that lie in the last `days` days up to `day`; `month` is the mask's month. -#}
{% macro recent_bits(month, day, days) -%}
    {%- set first_day = add_days(day, 1 - days) -%}
    ({{ bit_at('case when ' ~ month ~ ' = ' ~ month_of(day) ~ ' then extract(day from ' ~ day ~ ') else 31 end') }}
    - {{ bit_at('case when ' ~ month ~ ' = ' ~ month_of(first_day) ~ ' then extract(day from ' ~ first_day ~ ') - 1 else 0 end') }})
{%- endmacro %}

{#- Numbers as a person writes them in a driver's text. -#}
{% macro as_count(value) -%} cast(cast({{ value }} as bigint) as {{ dbt.type_string() }}) {%- endmacro %}
{% macro as_tenths(value) -%} cast(cast(round({{ value }}, 1) as decimal(18, 1)) as {{ dbt.type_string() }}) {%- endmacro %}
