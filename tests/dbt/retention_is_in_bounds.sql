-- Cell whose gross revenue retention is outside 0..1 or above its net revenue retention.
with gross as (
    select * from {{ ref('kpi_gross_revenue_retention') }}
),

net as (
    select * from {{ ref('kpi_net_revenue_retention') }}
)

select gross.period_type, gross.period_start, gross.segment_type, gross.segment_value, gross.value as grr, net.value as nrr
from gross
left join net
    on
        gross.period_type = net.period_type
        and gross.period_start = net.period_start
        and gross.segment_type = net.segment_type
        and gross.segment_value = net.segment_value
where gross.value < 0 or gross.value > 1 or gross.value > net.value + 1e-12 or (gross.value is null) <> (net.value is null)
