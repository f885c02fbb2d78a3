{#- A table is replaced in one transaction. The way of the adapter (make beside, rename twice, commit, drop) costs two more
    transactions a model and gives nothing here: nobody reads the build file while it is written. -#}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {%- set relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {{ run_hooks(pre_hooks) }}
    {%- if existing is not none and (existing.type != 'table' or model['language'] == 'python') %}
        {%- do adapter.drop_relation(existing) %}
    {%- endif %}
    {%- call statement('main', language=model['language']) %}
        {%- if model['language'] == 'python' %}
            {{- py_write_table(false, relation, compiled_code) }}
        {%- elif config.get('contract').enforced %}
            {{- get_assert_columns_equivalent(compiled_code) }}
            create or replace table {{ relation }} {{ get_table_columns_and_constraints() }};
            insert into {{ relation }} {{ get_column_names() }} (
                {{ get_select_subquery(compiled_code) }}
            );
        {%- else %}
            create or replace table {{ relation }} as (
                {{ compiled_code }}
            );
        {%- endif %}
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}
