{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- The folder's schema as it stands: analysts see `marts`, never `main_marts`. -#}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
