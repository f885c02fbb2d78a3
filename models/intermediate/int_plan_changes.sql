-- Grain: account x day of an expansion or contraction x plan that changed: its quantity before and after, its change in money.
with segments as (
    select * from {{ ref('int_subscription_segments') }}
    where not is_paused
),

movements as (
    select * from {{ ref('int_mrr_changes') }}
    where movement_type in ('expansion', 'contraction')
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

product_starts as (
    select account_id, product_name, min(valid_from) as first_held_on
    from segments
    group by account_id, product_name
),

edges as (
    select account_id, plan_id, product_name, currency, valid_from as changed_on, mrr, quantity from segments
    union all
    select account_id, plan_id, product_name, currency, valid_to as changed_on, -mrr as mrr, -quantity as quantity from segments
),

daily as (
    select
        account_id,
        plan_id,
        product_name,
        currency,
        changed_on,
        sum(mrr) as mrr_change,
        sum(quantity) as quantity_change
    from edges
    group by account_id, plan_id, product_name, currency, changed_on
),

-- whether a plan is held is a matter of its quantity; natives of several currencies can't be added for that
held as (
    select
        account_id,
        plan_id,
        product_name,
        changed_on,
        sum(quantity_change) as quantity_change,
        sum(sum(quantity_change)) over (partition by account_id, plan_id order by changed_on) as quantity_after
    from daily
    group by account_id, plan_id, product_name, changed_on
),

valued as (
    select
        daily.account_id,
        daily.plan_id,
        daily.changed_on,
        movements.movement_type,
        cast(sum({{ convert('daily.mrr_change', 'rates.rate') }}) as double) as amount
    from daily
    inner join movements
        on daily.account_id = movements.account_id and daily.changed_on = movements.movement_date
    inner join rates
        on {{ rate_on('rates', 'daily.currency', 'movements.valuation_date') }}
    group by daily.account_id, daily.plan_id, daily.changed_on, movements.movement_type
),

final as (
    select
        held.account_id,
        held.changed_on as movement_date,
        product_starts.first_held_on,
        valued.movement_type,
        valued.amount,
        held.quantity_change,
        held.quantity_after,
        held.quantity_after - held.quantity_change as quantity_before
    from held
    inner join valued
        on held.account_id = valued.account_id and held.plan_id = valued.plan_id and held.changed_on = valued.changed_on
    inner join product_starts
        on held.account_id = product_starts.account_id and held.product_name = product_starts.product_name
)

select * from final
