-- first contact + not first contact + pending + excluded + unsolved = tickets, per month, quarter and cut; each ticket in one month.
with tickets as (
    select count(*) as n_tickets from {{ ref('fct_tickets') }}
),

cells as (
    select
        period_type,
        segment_type,
        sum(n_decided + n_pending + n_excluded + n_unsolved) as n_tickets
    from {{ ref('kpi_first_contact_resolution_rate') }}
    group by period_type, segment_type
)

select cells.*
from cells
cross join tickets
where cells.n_tickets <> tickets.n_tickets
