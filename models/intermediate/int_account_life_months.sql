-- Grain: account x month since it first paid: its state, tenure and money so far, as of the month's end.
with periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
),

states as (
    select * from {{ ref('int_account_states') }}
),

balances as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month'
),

cash as (
    select * from {{ ref('int_account_cash_months') }}
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

starts as (
    select account_id, min(started_on) as started_on, min(customer_since) as customer_since
    from (
        select account_id, valid_from as started_on, valid_from as customer_since from states where movement_type = 'new'
        union all
        select account_id, month as started_on, cast(null as date) as customer_since from cash where n_payments > 0
    ) as first_payments
    group by account_id
),

lives as (
    select
        starts.account_id,
        accounts.segment,
        starts.customer_since,
        greatest({{ month_of('starts.started_on') }}, (select min(period_start) from periods)) as first_month
    from starts
    inner join accounts on starts.account_id = accounts.account_id
),

-- what was spent before the first payment belongs to the first month of the life
placed_cash as (
    select
        cash.account_id,
        greatest(cash.month, lives.first_month) as month,
        sum(cash.net_revenue) as net_revenue,
        sum(cash.acquisition_cost) as acquisition_cost,
        sum(cash.retention_cost) as retention_cost
    from cash
    inner join lives on cash.account_id = lives.account_id
    group by cash.account_id, greatest(cash.month, lives.first_month)
),

months as (
    select
        lives.account_id,
        lives.segment,
        lives.customer_since,
        lives.first_month,
        periods.period_start as month,
        periods.closing_date,
        coalesce(placed_cash.net_revenue, 0) as net_revenue,
        coalesce(placed_cash.acquisition_cost, 0) as acquisition_cost,
        coalesce(placed_cash.retention_cost, 0) as retention_cost
    from lives
    inner join periods on lives.first_month <= periods.period_start
    left join placed_cash on lives.account_id = placed_cash.account_id and periods.period_start = placed_cash.month
),

running as (
    select
        account_id,
        segment,
        customer_since,
        month,
        closing_date,
        cast({{ dbt.datediff('first_month', 'month', 'month') }} as bigint) + 1 as n_months,
        {{ exact('sum(net_revenue) over (partition by account_id order by month)') }} as net_revenue,
        {{ exact('sum(acquisition_cost) over (partition by account_id order by month)') }} as acquisition_cost,
        {{ exact('sum(retention_cost) over (partition by account_id order by month)') }} as retention_cost
    from months
),

-- the state at the month's end; a churned account's tenure ends on the day it left
final as (
    select
        running.*,
        coalesce(states.state, 'gone') as state,
        coalesce(balances.closing_mrr, 0) as mrr,
        case
            when states.state = 'gone' then greatest({{ months_begun('running.customer_since', 'states.valid_from') }}, 1)
            when states.state is not null then {{ whole_months('running.customer_since', 'running.closing_date') }}
        end as tenure_months
    from running
    left join states
        on
            running.account_id = states.account_id
            and running.closing_date >= states.valid_from
            and running.closing_date < states.valid_to
    left join balances on running.account_id = balances.account_id and running.month = balances.period_start
)

select * from final
