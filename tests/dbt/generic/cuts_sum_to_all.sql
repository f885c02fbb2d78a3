{#- Every account is in exactly one value of these cuts, so the parts of their rows sum to the row `all`. -#}
{% test cuts_sum_to_all(model, parts, tolerance=0.0001) %}
{%- set cuts = ['segment', 'industry', 'country', 'csm', 'team', 'plan'] %}
with summed as (
    select
        period_type,
        period_start,
        segment_type,
        {%- for part in parts %}
        sum({{ part }}) as {{ part }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ model }}
    group by period_type, period_start, segment_type
)

select cut_rows.*
from summed as cut_rows
inner join summed as all_rows
    on cut_rows.period_type = all_rows.period_type and cut_rows.period_start = all_rows.period_start and all_rows.segment_type = 'all'
where
    cut_rows.segment_type in ('{{ cuts | join("', '") }}')
    and (
        {%- for part in parts %}
        abs(coalesce(cut_rows.{{ part }}, 0) - coalesce(all_rows.{{ part }}, 0)) > {{ tolerance }} {{ 'or' if not loop.last }}
        {%- endfor %}
    )
{% endtest %}
