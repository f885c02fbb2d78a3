-- Grain: quarter x cs_team cost line x CSM who bears it; what nobody is named for goes by share of closing MRR (decision log, D103).
with costs as (
    select * from {{ ref('stg_finance__costs') }}
    where cost_type = 'cs_team'
),

periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'quarter'
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

owners as (
    select * from {{ ref('int_account_owners') }}
),

customers as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'quarter' and closing_state <> 'gone'
),

dated as (
    select
        costs.*,
        least({{ add_days(add_months('costs.cost_month', 1), -1) }}, {{ as_of_date() }}) as valued_on
    from costs
),

placed as (
    select
        periods.period_type,
        periods.period_start,
        periods.closing_date,
        dated.cost_id,
        dated.user_id,
        dated.account_id,
        dated.valued_on,
        {{ convert('dated.amount', 'rates.rate') }} as amount
    from periods
    inner join dated on dated.cost_month >= periods.period_start and dated.cost_month <= periods.closing_date
    left join rates on {{ rate_on('rates', 'dated.currency', 'dated.valued_on') }}
),

books as (
    select customers.period_start, owners.csm_user_id, sum(customers.closing_mrr) as mrr
    from customers
    inner join owners
        on
            customers.account_id = owners.account_id
            and customers.closing_date >= owners.valid_from
            and customers.closing_date < owners.valid_to
    group by customers.period_start, owners.csm_user_id
    having sum(customers.closing_mrr) > 0
),

shares as (
    select period_start, csm_user_id, cast(mrr as double) / cast(sum(mrr) over (partition by period_start) as double) as share
    from books
),

final as (
    select
        placed.period_type,
        placed.period_start,
        placed.closing_date as cut_date,
        placed.cost_id,
        placed.account_id,
        coalesce(placed.user_id, owners.csm_user_id, shares.csm_user_id, 'unassigned') as csm_user_id,
        {{ exact('cast(placed.amount as double) * coalesce(shares.share, 1)') }} as cs_cost
    from placed
    left join owners
        on
            case when placed.user_id is null then placed.account_id end = owners.account_id
            and placed.valued_on >= owners.valid_from
            and placed.valued_on < owners.valid_to
    left join shares
        on case when placed.user_id is null and placed.account_id is null then placed.period_start end = shares.period_start
)

select * from final
