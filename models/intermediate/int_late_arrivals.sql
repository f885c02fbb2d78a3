-- Grain: raw table x load x kind of news: the earliest day that its new or changed rows speak of (decision log, D112).
{%- set tables = days_of_landed_rows() %}
{%- set keys = raw_keys() %}
{%- set standing = ['is_internal', 'merged_into_account_id', 'coalesce(_deleted, false)'] %}
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

-- news differ from the version before them: what came again as it was is none, what went back to what it had been is
{%- for table, (area, days, describes) in tables.items() %}
{%- set columns = raw_columns(table) %}
{%- set instants = columns | selectattr('data_type', 'equalto', 'timestamp') | map(attribute='name') | list %}
{%- set spoken_of = [beginning()] %}
{%- for column in days %}
    {%- set day = local_date(column) if column in instants else column %}
    {#- what is planned for later has changed nothing yet #}
    {%- set known_day = day if loop.first else 'case when ' ~ day ~ ' <= ' ~ as_of_date() ~ ' then ' ~ day ~ ' end' %}
    {%- do spoken_of.append('coalesce(' ~ known_day ~ ', ' ~ beginning() ~ ')') %}
{%- endfor %}
{%- set latest_day = 'greatest(' ~ spoken_of | join(', ') ~ ')' if days else beginning() %}
{%- if table == 'product_events' %}
{{ table }}_news as (
    select _load_id as load_id, {{ local_date('min(occurred_at)') }} as spoken_of, 'late row' as kind
    from {{ source(area, table) }}
    where _load_id in (select later_loads.load_id from later_loads)
    group by _load_id
),
{%- else %}
{%- set silent = ['_loaded_at'] + columns_that_decide_no_figure().get(table, []) %}
{%- set told = columns | map(attribute='name') | reject('in', silent) | list + ['coalesce(_deleted, false)'] %}
{%- set is_backdated = 'content_before is not null' if describes else 'false' %}
{%- if table == 'billing_subscription_items' %}
    {%- set is_backdated = local_date('recorded_at') ~ ' > ' ~ local_date('effective_from') %}
{%- endif %}
{%- set key = keys.get(table, []) | join(', ') %}
{%- set by_key = 'partition by ' ~ key ~ ' order by _loaded_at, _load_id' %}
{{ table }}_told as (
    select *, {{ hash_of(standing) ~ ' as standing, ' if table == 'crm_accounts' }}{{ hash_of(told) }} as content
    from {{ source(area, table) }}
    where ({{ key }}) in (
        select {{ key }} from {{ source(area, table) }}
        where _load_id in (select later_loads.load_id from later_loads)
    )
),

{{ table }}_versions as (
    select
        *,
        {%- if table == 'crm_accounts' %}
        lag(standing) over ({{ by_key }}) as standing_before,
        {%- endif %}
        lag(content) over ({{ by_key }}) as content_before
    from {{ table }}_told
),

{{ table }}_news as (
    select
        _load_id as load_id,
        {%- if describes %}
        case when content_before is null then {{ latest_day }} else {{ beginning() }} end as spoken_of,
        {%- elif table == 'billing_subscriptions' %}
        -- a successor that arrives tells what became of its predecessor
        coalesce(case when content_before is null then predecessor_ended_on end, {{ latest_day }}) as spoken_of,
        {%- else %}
        {{ latest_day }} as spoken_of,
        {%- endif %}
        case
            {%- if table == 'crm_accounts' %}
            when merged_into_account_id is not null then 'merge'
            -- it counts as it did, in another cell
            when standing_before = standing then 'other cut'
            {%- endif %}
            when {{ is_backdated }} then 'backdated change'
            else 'late row'
        end as kind
    from {{ table }}_versions
    {{ 'left join predecessors on renews_subscription_id = predecessor_id' if table == 'billing_subscriptions' }}
    where content_before is null or content_before <> content
),
{%- endif %}
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
