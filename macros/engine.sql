{#- What engines write differently; models never name an engine. -#}

{% macro last_known(value, partition_by, order_by) -%}
    {{ return(adapter.dispatch('last_known')(value, partition_by, order_by)) }}
{%- endmacro %}
{% macro default__last_known(value, partition_by, order_by) -%}
    last_value({{ value }} ignore nulls) over (
        partition by {{ partition_by }} order by {{ order_by }} rows between unbounded preceding and current row
    )
{%- endmacro %}
{% macro spark__last_known(value, partition_by, order_by) -%}
    last_value({{ value }}, true) over (
        partition by {{ partition_by }} order by {{ order_by }} rows between unbounded preceding and current row
    )
{%- endmacro %}

{#- Values joined in order of the values themselves. -#}
{% macro joined_text(value, separator=', ') -%} {{ return(adapter.dispatch('joined_text')(value, separator)) }} {%- endmacro %}
{% macro default__joined_text(value, separator) -%}
    string_agg(distinct {{ value }}, '{{ separator }}' order by {{ value }})
{%- endmacro %}
{% macro spark__joined_text(value, separator) -%}
    array_join(sort_array(collect_set({{ value }})), '{{ separator }}')
{%- endmacro %}

{% macro is_weekday(day) -%} {{ return(adapter.dispatch('is_weekday')(day)) }} {%- endmacro %}
{% macro default__is_weekday(day) -%} isodow({{ day }}) <= 5 {%- endmacro %}
{% macro spark__is_weekday(day) -%} weekday({{ day }}) <= 4 {%- endmacro %}
