{#- Monthly run-rate of one item version, in its own currency (kpi_rules.md, R). 1e0 is a double to every engine; 1.0 / 12 is a
    decimal of six places to some. -#}
{% macro mrr_of(items) -%}
    {{ exact(
        'cast(' ~ items ~ '.unit_amount as double) * cast(' ~ items ~ '.quantity as double)'
        ~ ' * (1 - cast(' ~ items ~ '.counted_discount_pct as double) / 100)'
        ~ ' * case ' ~ items ~ ".billing_interval when 'month' then 1e0 when 'year' then 1e0 / 12 when 'week' then 52e0 / 12 when 'day' then 365e0 / 12 end"
        ~ ' / coalesce(' ~ items ~ '.interval_count, 1)'
    ) }}
{%- endmacro %}

{#- A subscription whose first payment never came is worth nothing and has no term to renew (kpi_rules.md, R). -#}
{% macro has_begun(status) -%} {{ status }} not in ('incomplete', 'incomplete_expired') {%- endmacro %}
