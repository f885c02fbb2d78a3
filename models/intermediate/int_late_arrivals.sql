-- Grain: raw table x load x kind of news: the earliest day that its new or changed rows speak of (decision log, D112).
{%- set tables = days_of_landed_rows() %}
with loads as (
    select distinct load_id, loaded_at from {{ source('ops', 'load_log') }}
),

first_published as (
    select min(first_published_at) as first_published_at from {{ source('history', 'first_published_kpi_values') }}
),

-- nothing that arrived before the first publication can restate it
later_loads as (
    select loads.load_id, loads.loaded_at
    from loads
    inner join first_published on loads.loaded_at > first_published.first_published_at
),

predecessors as (
    select subscription_id as predecessor_id, ended_on as predecessor_ended_on from {{ ref('stg_billing__subscriptions') }}
),

-- a row delivered again as it was is no news
{%- for table, (area, days, key) in tables.items() %}
{%- set columns = raw_columns(table) %}
{%- set instants = columns | selectattr('data_type', 'equalto', 'timestamp') | map(attribute='name') | list %}
{%- set spoken_of = [beginning()] %}
{%- for column in days %}
    {%- set day = local_date(column) if column in instants else column %}
    {#- what is planned for later has changed nothing yet #}
    {%- set known_day = day if loop.first else 'case when ' ~ day ~ ' <= ' ~ as_of_date() ~ ' then ' ~ day ~ ' end' %}
    {%- do spoken_of.append('coalesce(' ~ known_day ~ ', ' ~ beginning() ~ ')') %}
{%- endfor %}
{%- set latest_day = 'greatest(' ~ spoken_of | join(', ') ~ ')' %}
{{ table }}_news as (
    {%- if table == 'product_events' %}
    select _load_id as load_id, {{ local_date('min(occurred_at)') }} as spoken_of, 'late row' as kind
    from {{ source(area, table) }}
    where _load_id in (select later_loads.load_id from later_loads)
    group by _load_id
    {%- else %}
    {#- neither a ticket's own status nor its priority decides a figure: their updates are no news #}
    {%- set silent = ['_loaded_at'] + (['status', 'priority'] if table == 'support_tickets' else []) %}
    {%- set names = columns | map(attribute='name') | reject('in', silent) | list or ['_load_id'] %}
    select
        min(_load_id) as load_id,
        {%- if key %}
        {%- set is_change = 'min(min(_load_id)) over (partition by ' ~ key ~ ') < min(_load_id)' %}
        case when {{ is_change }} then {{ beginning() }} else {{ latest_day }} end as spoken_of,
        case
            {{ "when merged_into_account_id is not null then 'merge'" if table == 'crm_accounts' }}
            when {{ is_change }} then 'backdated change'
            else 'late row'
        end as kind
        {%- else %}
        {%- if table == 'billing_subscriptions' %}
        -- a successor that arrives tells what became of its predecessor
        coalesce(
            case when min(min(_load_id)) over (partition by subscription_id) = min(_load_id) then predecessor_ended_on end,
            {{ latest_day }}
        ) as spoken_of,
        {%- else %}
        {{ latest_day }} as spoken_of,
        {%- endif %}
        {%- if table == 'billing_subscription_items' %}
        case when {{ local_date('recorded_at') }} > {{ local_date('effective_from') }} then 'backdated change' else 'late row' end as kind
        {%- else %}
        'late row' as kind
        {%- endif %}
        {%- endif %}
    from {{ source(area, table) }}
    {%- if table == 'billing_subscriptions' %}
    left join predecessors on renews_subscription_id = predecessor_id
    {%- endif %}
    group by {{ names | join(', ') }}, coalesce(_deleted, false){{ ', predecessor_ended_on' if table == 'billing_subscriptions' }}
    {%- endif %}
),
{%- endfor %}

news as (
    {%- for table in tables %}
    select '{{ table }}' as source_table, load_id, kind, min(spoken_of) as earliest_day
    from {{ table }}_news
    group by load_id, kind
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

final as (
    select news.source_table, later_loads.loaded_at, news.kind, news.earliest_day
    from news
    inner join later_loads on news.load_id = later_loads.load_id
)

select * from final
