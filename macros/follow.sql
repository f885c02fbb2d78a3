{#- Follows a pointer (merged into, parent of) to its end by doubling the distance: six steps reach 64 hops.
    `relation` has start_id and next_id (null at the end); gives CTEs ending in `<name>` (start_id, end_id). -#}
{% macro follow(name, relation, doublings=6) -%}
{{ name }}_0 as (
    select pointers.start_id, coalesce(targets.start_id, pointers.start_id) as end_id
    from {{ relation }} as pointers
    left join {{ relation }} as targets on pointers.next_id = targets.start_id
),
{%- for step in range(1, doublings + 1) %}
{{ name if step == doublings else name ~ '_' ~ step }} as (
    select nearer.start_id, farther.end_id
    from {{ name }}_{{ step - 1 }} as nearer
    inner join {{ name }}_{{ step - 1 }} as farther on nearer.end_id = farther.start_id
){{ ',' if not loop.last }}
{%- endfor %}
{%- endmacro %}
