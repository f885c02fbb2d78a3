-- Grain: landed row of an event id that landed more than once; and a row without event id that says which loads were examined.
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='event_id',
    pre_hook='{{ repeats_reset() }}',
) }}
{%- set examined = examined_so_far() %}
with landed as (
    {{ landed_events() }}
),

repeated_ids as (
    select event_id
    from landed
    {%- if examined is not none %}
    where event_id in (select event_id from landed where _load_id > {{ examined }})
    {%- endif %}
    group by event_id
    having count(*) > 1
),

{#- The tie rule of every staging model: equal arrival times are settled by content. #}
ranked as (
    select
        landed.*,
        row_number() over (
            partition by event_id
            order by _loaded_at desc, coalesce(_deleted, false)
            {%- for column in event_columns() %}, {{ column }} desc nulls last{% endfor %}
        ) as version_rank
    from landed
    where event_id in (select event_id from repeated_ids)
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
    union all
    select
        null as event_id,
        null as account_id,
        null as user_id,
        null as feature_key,
        null as occurred_at,
        false as is_current,
        max(_load_id) as _load_id
    from landed
)

select * from final
