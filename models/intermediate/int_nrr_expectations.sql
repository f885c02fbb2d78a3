-- Grain: period x (csm, team, csm x segment): the NRR that the company reached in the same segments, by opening MRR of the book.
with retention as (
    select * from {{ ref('kpi_net_revenue_retention') }}
),

books as (
    select distinct csm, team, segment, csm_segment from {{ ref('int_account_cuts') }}
),

by_segment as (
    select period_type, period_start, segment_value as segment, value
    from retention
    where segment_type = 'segment'
),

weighed as (
    select
        retention.period_type,
        retention.period_start,
        books.csm,
        books.team,
        books.csm_segment,
        retention.denominator as opening_mrr,
        by_segment.value as company_nrr
    from retention
    inner join books on retention.segment_value = books.csm_segment
    inner join by_segment
        on
            retention.period_type = by_segment.period_type
            and retention.period_start = by_segment.period_start
            and books.segment = by_segment.segment
    where retention.segment_type = 'csm_segment' and retention.denominator > 0
),

final as (
    {%- for segment_type in ['csm', 'team', 'csm_segment'] %}
    select
        period_type,
        period_start,
        '{{ segment_type }}' as segment_type,
        {{ segment_type }} as segment_value,
        {{ ratio(exact_sum('opening_mrr * company_nrr'), exact_sum('opening_mrr')) }} as expected_nrr
    from weighed
    group by period_type, period_start, {{ segment_type }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
