{#- Bits of a month's day mask that lie in the last `days` days (a number or a column) up to `day`; `month` is the mask's
    month, one that these days reach into. -#}
{% macro recent_bits(month, day, days) -%}
    {%- set first_day = add_days(day, '1 - ' ~ days) -%}
    ({{ bit_at('case when ' ~ month ~ ' = ' ~ month_of(day) ~ ' then extract(day from ' ~ day ~ ') else 31 end') }}
    - {{ bit_at('case when ' ~ month ~ ' = ' ~ month_of(first_day) ~ ' then extract(day from ' ~ first_day ~ ') - 1 else 0 end') }})
{%- endmacro %}
