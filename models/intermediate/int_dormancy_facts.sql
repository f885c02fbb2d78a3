-- Grain: account x month in which it pays at the end (or as_of), or has stopped purchasing.
with usage_facts as (
    select * from {{ ref('int_account_usage_facts') }}
    where is_paying
),

stopped as (
    select * from {{ ref('int_purchase_facts') }}
),

final as (
    select account_id, period_type, period_start, cut_date, true as is_paying, is_dormant, closing_mrr, false as is_stopped
    from usage_facts
    union all
    select account_id, period_type, period_start, cut_date, false as is_paying, false as is_dormant, 0 as closing_mrr, true as is_stopped
    from stopped
)

select * from final
