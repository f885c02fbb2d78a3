-- Grain: landed row of an event id that landed more than once; and a row without event id that says which loads were examined.
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='event_id',
    meta={'staged': {'table': 'product_events', 'text': tidied('$')}},
    pre_hook='{{ start_over_unless(examined_so_far()) }}',
) }}
{%- set hashes = ref('stg_product__event_hashes') %}
{%- set examined = examined_so_far() %}
with
{%- if examined is none %}
-- sorted hashes find what came twice with a fraction of the memory that grouping fifty million ids would take
hashes as (
    select event_hash, lag(event_hash) over (order by event_hash) as previous_hash from {{ hashes }}
),

candidates as (
    select * from {{ landed_events() }}
    where {{ hash_of(['event_id']) }} in (select event_hash from hashes where event_hash = previous_hash)
),
{%- else %}
found as (
    select event_hash, occurred_at, count(*) over (partition by event_hash) as n_found
    from {{ hashes }}
    where event_hash in (select event_hash from {{ hashes }} where _load_id > {{ examined }})
),

matches as (
    select distinct event_hash, occurred_at from found where n_found > 1
),

-- the instant lets the engine skip what lies before and after; the id is compared below, so equal hashes do no harm
candidates as (
    select landed.*
    from {{ landed_events() }}
    inner join matches
        on landed.occurred_at = matches.occurred_at and {{ hash_of(['landed.event_id']) }} = matches.event_hash
),
{%- endif %}

{#- The tie rule of every staging model: equal arrival times are settled by content. #}
ranked as (
    select
        candidates.*,
        count(*) over (partition by event_id) as n_versions,
        row_number() over (
            partition by event_id
            order by _loaded_at desc, coalesce(_deleted, false)
            {%- for column in event_columns() %}, {{ column }} desc nulls last{% endfor %}
        ) as version_rank
    from candidates
),

final as (
    select
        event_id,
        account_id,
        user_id,
        feature_key,
        occurred_at,
        version_rank = 1 and not coalesce(_deleted, false) as is_current,
        _load_id
    from ranked
    where n_versions > 1
    union all
    select
        null as event_id,
        null as account_id,
        null as user_id,
        null as feature_key,
        null as occurred_at,
        false as is_current,
        max(_load_id) as _load_id
    from {{ landed_events() }}
)

select * from final
