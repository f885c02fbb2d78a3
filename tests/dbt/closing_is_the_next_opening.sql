-- Account-month whose closing balance is not the opening balance of the month after.
with months as (
    select account_id, period_start, opening_mrr, closing_mrr
    from {{ ref('int_account_periods') }}
    where period_type = 'month'
),

periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
)

select earlier.account_id, earlier.period_start, earlier.closing_mrr, later.opening_mrr
from months as earlier
inner join periods on earlier.period_start = periods.previous_period_start
left join months as later on earlier.account_id = later.account_id and periods.period_start = later.period_start
where earlier.closing_mrr <> coalesce(later.opening_mrr, 0)
