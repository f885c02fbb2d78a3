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

segments as (
    select * from {{ ref('int_subscription_segments') }}
),

subscriptions as (
    select * from {{ ref('stg_billing__subscriptions') }}
),

counted as (
    select days.score_date, states.account_id
    from days
    inner join states on days.score_date >= states.valid_from and days.score_date < states.valid_to
),

-- what had ended by that day runs on today only because a successor started late (decision log, D9): that day did not know it
customers as (
    select distinct counted.score_date, counted.account_id
    from counted
    inner join segments
        on
            counted.account_id = segments.account_id
            and counted.score_date >= segments.valid_from
            and counted.score_date < segments.valid_to
    inner join subscriptions on segments.subscription_id = subscriptions.subscription_id
    where subscriptions.ended_on is null or subscriptions.ended_on > counted.score_date
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
