{#- What every staging model is: one raw table, trimmed, newest version per key, deleted rows gone, accounts resolved,
    later knowledge removed. Columns and types come from the source definition, so they are written once. -#}

{% macro raw_columns(table) -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for source in graph.sources.values() if source.name == table -%}
            {%- for column in source.columns.values() -%} {%- do found.append(column) -%} {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{#- {table: columns that name a row of it}, by the staging models. -#}
{% macro raw_keys() -%}
    {%- set found = {} -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() -%}
            {%- set staged = node.config.meta.get('staged', {}) -%}
            {%- if staged.key -%} {%- do found.update({staged.table: staged.key}) -%} {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{#- The landed rows and those of every adapter in force that fills this table (model `<adapter>__<table>`). -#}
{% macro landed_rows(area, table) -%}
    {%- set names = raw_columns(table) | map(attribute='name') | list + ['_deleted'] -%}
    select {{ names | join(', ') }} from {{ source(area, table) }}
    {%- for adapter_name in adapters_filling(table) %}
    union all
    select {{ names | join(', ') }} from {{ ref(adapter_name ~ '__' ~ table) }}
    {%- endfor %}
{%- endmacro %}

{% macro staged(
    area, table, key, happened=none, happened_on=none, later=[], days=[], lower=[], upper=[], masks=[], before={},
    account=true, contact=none, keep_internal=false, keep_internal_contacts=false
) -%}
{#- How the table is read, for those who account for its rows. -#}
{%- do config(meta={'staged': {
    'table': table, 'key': key, 'happened': happened, 'happened_on': happened_on, 'account': account,
    'contact': contact, 'keep_internal': keep_internal, 'keep_internal_contacts': keep_internal_contacts,
    'lower': lower, 'upper': upper, 'text': tidied('$'),
}}) -%}
{%- set columns = raw_columns(table) -%}
with landed as (
    {{ landed_rows(area, table) }}
),

trimmed as (
    select
        {%- for column in columns %}
        {%- if column.data_type == 'varchar' %}
        {%- set text = tidied(column.name) %}
        {%- set text = masked(text) if column.name in masks else text %}
        {{ 'lower(' ~ text ~ ')' if column.name in lower else 'upper(' ~ text ~ ')' if column.name in upper else text }} as {{ column.name }},
        {%- elif column.data_type == 'double' %}
        {#- files of data frames write a missing number as NaN #}
        nullif({{ column.name }}, cast('NaN' as double)) as {{ column.name }},
        {%- else %}
        {{ column.name }},
        {%- endif %}
        {%- endfor %}
        coalesce(_deleted, false) as is_deleted
    from landed
),

{#- Equal arrival times are settled by content, so that the order of delivery never matters. #}
ranked as (
    select
        trimmed.*,
        row_number() over (
            partition by {{ key | join(', ') }}
            order by _loaded_at desc, is_deleted
            {%- for column in columns if column.name not in key and column.name != '_loaded_at' %}, {{ column.name }} desc nulls last{% endfor %}
        ) as version_rank
    from trimmed
),

known as (
    select
        {%- for column in columns %}
        {%- if column.name in later %}
        case when {{ is_known(column.name) }} then {{ column.name }} end as {{ column.name }},
        {%- elif column.name in before %}
        {#- what a column said before the instant that changed it #}
        case when not {{ is_known(before[column.name][0]) }} then '{{ before[column.name][1] }}' else {{ column.name }} end as {{ column.name }},
        {%- else %}
        {{ column.name }},
        {%- endif %}
        {%- endfor %}
        version_rank
    from ranked
    where version_rank = 1 and not is_deleted
    {%- if happened %} and ({{ happened }} is null or {{ is_known(happened) }}){% endif %}
    {%- if happened_on %} and {{ happened_on }} <= {{ as_of_date() }}{% endif %}
),

{%- set outputs = [] -%}
{%- for column in columns -%}
    {%- if column.name == 'account_id' and account -%}
        {%- do outputs.append('account_ids.account_id') -%}
        {%- do outputs.append('known.account_id as source_account_id') -%}
    {%- else -%}
        {%- do outputs.append('known.' ~ column.name) -%}
    {%- endif -%}
{%- endfor -%}
{%- for day in days -%}
    {%- do outputs.append(local_date('known.' ~ day) ~ ' as ' ~ (day | replace('_at', '')) ~ '_on') -%}
{%- endfor %}

final as (
    select
        {{ outputs | join(',\n        ') }}
    from known
    {%- if account and contact %}
    left join {{ ref('stg_crm__contacts') }} as contacts on known.{{ contact }} = contacts.contact_id
    {%- endif %}
    {%- if account %}
    left join {{ ref('stg_crm__account_ids') }} as account_ids
        on account_ids.source_account_id = {{ 'coalesce(known.account_id, contacts.source_account_id)' if contact else 'known.account_id' }}
    {%- if contact and not keep_internal_contacts %}
    left join {{ ref('stg_crm__account_ids') }} as contact_account_ids
        on contacts.source_account_id = contact_account_ids.source_account_id
    {%- endif %}
    {%- if not keep_internal %}
    where not coalesce(account_ids.is_internal, false)
    {%- if contact and not keep_internal_contacts %} and not coalesce(contact_account_ids.is_internal, false){% endif %}
    {%- endif %}
    {%- endif %}
)

select * from final
{%- endmacro %}
