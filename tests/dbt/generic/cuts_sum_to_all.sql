{#- Every account is in exactly one value of every cut, so the parts of its rows sum to the row `all`, but for the last digits
    of doubles. -#}
{% test cuts_sum_to_all(model, parts) %}
with summed as (
    select
        period_type,
        period_start,
        segment_type,
        {%- for part in parts %}
        coalesce(sum({{ part }}), 0) as {{ part }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ model }}
    group by period_type, period_start, segment_type
)

select cut_rows.*
from summed as cut_rows
inner join summed as all_rows
    on cut_rows.period_type = all_rows.period_type and cut_rows.period_start = all_rows.period_start and all_rows.segment_type = 'all'
where
    cut_rows.segment_type in ('{{ cut_columns() | join("', '") }}')
    and (
        {%- for part in parts %}
        abs(cut_rows.{{ part }} - all_rows.{{ part }}) > greatest(0.0001, 1e-12 * abs(all_rows.{{ part }})) {{ 'or' if not loop.last }}
        {%- endfor %}
    )
{% endtest %}
