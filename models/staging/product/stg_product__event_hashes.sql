-- Grain: landed product event: hash of its id and when it happened, so that a new id is looked for without reading the old ones.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook='{{ start_over_unless(hashed_so_far()) }}',
) }}
{%- set hashed = hashed_so_far() %}
with final as (
    select
        {{ hash_of(['event_id']) }} as event_hash,
        occurred_at,
        _load_id
    from {{ landed_events() }}
    {%- if hashed is not none %}
    where _load_id > {{ hashed }}
    {%- endif %}
)

select * from final
