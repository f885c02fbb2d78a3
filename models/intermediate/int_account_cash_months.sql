-- Grain: account x month with money paid, refunded or spent on it; unrounded, each at the rate of its own day.
with invoices as (
    select * from {{ ref('stg_billing__invoices') }}
    where account_id is not null
),

refunds as (
    select * from {{ ref('stg_billing__refunds') }}
),

costs as (
    select * from {{ ref('stg_finance__costs') }}
    where account_id is not null and cost_type in ('acquisition', 'retention')
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

-- a cost stands for its month: the rate of the month's last day, or of the as-of day
dated_costs as (
    select
        account_id,
        cost_month,
        cost_type,
        amount,
        currency,
        least({{ add_days(add_months('cost_month', 1), -1) }}, {{ as_of_date() }}) as valued_on
    from costs
),

amounts as (
    select
        invoices.account_id,
        {{ month_of('invoices.paid_on') }} as month,
        {{ convert('invoices.amount_paid', 'rates.rate') }} as net_revenue,
        {{ exact(0) }} as acquisition_cost,
        {{ exact(0) }} as retention_cost,
        case when invoices.amount_paid > 0 then 1 else 0 end as n_payments
    from invoices
    left join rates on {{ rate_on('rates', 'invoices.currency', 'invoices.paid_on') }}
    where invoices.status = 'paid' and invoices.paid_on is not null
    union all
    select
        invoices.account_id,
        {{ month_of('refunds.refunded_on') }} as month,
        -{{ convert('refunds.amount', 'rates.rate') }} as net_revenue,
        {{ exact(0) }} as acquisition_cost,
        {{ exact(0) }} as retention_cost,
        0 as n_payments
    from refunds
    inner join invoices on refunds.invoice_id = invoices.invoice_id
    left join rates on {{ rate_on('rates', 'refunds.currency', 'refunds.refunded_on') }}
    union all
    select
        dated_costs.account_id,
        {{ month_of('dated_costs.cost_month') }} as month,
        {{ exact(0) }} as net_revenue,
        case when dated_costs.cost_type = 'acquisition' then {{ convert('dated_costs.amount', 'rates.rate') }} else 0 end as acquisition_cost,
        case when dated_costs.cost_type = 'retention' then {{ convert('dated_costs.amount', 'rates.rate') }} else 0 end as retention_cost,
        0 as n_payments
    from dated_costs
    left join rates on {{ rate_on('rates', 'dated_costs.currency', 'dated_costs.valued_on') }}
),

final as (
    select
        account_id,
        month,
        {{ exact(whole_sum('net_revenue')) }} as net_revenue,
        {{ exact(whole_sum('acquisition_cost')) }} as acquisition_cost,
        {{ exact(whole_sum('retention_cost')) }} as retention_cost,
        sum(n_payments) as n_payments
    from amounts
    group by account_id, month
)

select * from final
