-- Account x month whose opening balance and movements are not its closing balance, to the last of ten decimals.
with parts as (
    select * from {{ ref('int_mrr_month_parts') }}
)

select
    account_id,
    month,
    sum(opening_mrr) as opening_mrr,
    sum(new_mrr + reactivation_mrr + resume_mrr + expansion_mrr + contraction_mrr + pause_mrr + churn_mrr + fx_mrr) as movements,
    sum(closing_mrr) as closing_mrr
from parts
group by account_id, month
having
    sum(opening_mrr + new_mrr + reactivation_mrr + resume_mrr + expansion_mrr + contraction_mrr + pause_mrr + churn_mrr + fx_mrr)
    <> sum(closing_mrr)
