-- Grain: account x period: the point-to-point cohort behind NRR, GRR, churn and retention, at opening exchange rates.
with account_periods as (
    select * from {{ ref('int_account_periods') }}
),

final as (
    select
        account_id,
        period_type,
        period_start,
        period_start as cut_date,
        opening_state = 'paying' as is_opening_customer,
        opening_state <> 'gone' as is_opening_logo,
        closing_state <> 'gone' as is_closing_customer,
        opening_state = 'paying' and closing_state <> 'gone' as is_retained,
        opening_mrr,
        case when opening_state = 'paying' then greatest(closing_mrr_at_opening_rates - opening_mrr, 0) else 0 end as expansion_mrr,
        case
            when opening_state = 'paying' and closing_state <> 'gone'
                then greatest(opening_mrr - closing_mrr_at_opening_rates, 0)
            else 0
        end as contraction_mrr,
        case when opening_state = 'paying' and closing_state = 'gone' then opening_mrr else 0 end as churn_mrr,
        case when opening_state = 'paying' then closing_mrr else 0 end as closing_mrr_reported
    from account_periods
)

select * from final
