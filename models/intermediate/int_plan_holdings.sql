-- Grain: paying account x month end (or as_of) x plan in force there, whatever its price (decision log, D64).
with account_periods as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month' and closing_state = 'paying'
),

pieces as (
    select * from {{ ref('int_subscription_pieces') }}
    where not is_paused
),

final as (
    select
        account_periods.account_id,
        account_periods.period_start as month,
        account_periods.closing_date,
        pieces.plan_id,
        sum(case when pieces.mrr <> 0 then pieces.quantity else 0 end) as n_seats
    from account_periods
    inner join pieces
        on
            account_periods.account_id = pieces.account_id
            and account_periods.closing_date >= pieces.valid_from
            and account_periods.closing_date < pieces.valid_to
    group by account_periods.account_id, account_periods.period_start, account_periods.closing_date, pieces.plan_id
)

select * from final
