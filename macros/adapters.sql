{#- The adapters in force that fill a raw table. The var `adapters` is {adapter: tables that its models are named after}. -#}
{% macro adapters_filling(table) -%}
    {%- set found = [] -%}
    {%- for name, tables in var('adapters').items() if table in tables -%} {%- do found.append(name) -%} {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
