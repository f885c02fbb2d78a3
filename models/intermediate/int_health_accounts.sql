-- Grain: customer x day to be scored: what the score is weighed by, as of that day.
with days as (
    select * from {{ ref('int_health_days') }}
),

states as (
    select * from {{ ref('int_account_states') }}
    where state <> 'gone'
),

cuts as (
    select * from {{ ref('int_account_cuts') }}
),

balances as (
    select * from {{ ref('int_account_balances') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

customers as (
    select days.score_date, states.account_id
    from days
    inner join states on days.score_date >= states.valid_from and days.score_date < states.valid_to
),

worth as (
    select customers.account_id, customers.score_date, sum({{ convert('balances.mrr', 'rates.rate') }}) as mrr
    from customers
    inner join balances
        on
            customers.account_id = balances.account_id
            and customers.score_date >= balances.valid_from
            and customers.score_date < balances.valid_to
    left join rates on {{ rate_on('rates', 'balances.currency', 'customers.score_date') }}
    group by customers.account_id, customers.score_date
),

final as (
    select
        customers.account_id,
        customers.score_date,
        cuts.segment,
        cuts.lifecycle_stage,
        cuts.csm as csm_user_id,
        coalesce(worth.mrr, 0) as mrr
    from customers
    inner join cuts
        on
            customers.account_id = cuts.account_id
            and customers.score_date >= cuts.valid_from
            and customers.score_date < cuts.valid_to
    left join worth on customers.account_id = worth.account_id and customers.score_date = worth.score_date
)

select * from final
