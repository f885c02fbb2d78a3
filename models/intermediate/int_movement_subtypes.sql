-- Grain: account x day of an expansion or contraction x movement_subtype: its share of the day's net (decision log, D10).
with plan_days as (
    select * from {{ ref('int_plan_changes') }}
),

account_days as (
    select
        account_id,
        movement_date,
        max(case when quantity_before > 0 and quantity_after = 0 then 1 else 0 end) = 1 as drops_a_plan,
        max(case when quantity_before = 0 and quantity_after > 0 then 1 else 0 end) = 1 as adds_a_plan
    from plan_days
    group by account_id, movement_date
),

labelled as (
    select
        plan_days.account_id,
        plan_days.movement_date,
        plan_days.movement_type,
        plan_days.amount,
        case
            when plan_days.movement_type = 'expansion' and plan_days.quantity_before = 0
                and plan_days.first_held_on = plan_days.movement_date and not account_days.drops_a_plan
                then 'cross_sell'
            when plan_days.movement_type = 'expansion' and plan_days.quantity_before > 0 and plan_days.quantity_change > 0
                then 'upsell_quantity'
            when plan_days.movement_type = 'expansion' then 'upgrade_price'
            when plan_days.quantity_after = 0 and not account_days.adds_a_plan then 'product_dropped'
            when plan_days.quantity_after > 0 and plan_days.quantity_change < 0 then 'downgrade_quantity'
            else 'downgrade_price'
        end as movement_subtype
    from plan_days
    inner join account_days
        on plan_days.account_id = account_days.account_id and plan_days.movement_date = account_days.movement_date
    where (plan_days.movement_type = 'expansion' and plan_days.amount > 0)
        or (plan_days.movement_type = 'contraction' and plan_days.amount < 0)
),

final as (
    select
        account_id,
        movement_date,
        movement_type,
        movement_subtype,
        sum(amount) / sum(sum(amount)) over (partition by account_id, movement_date) as share
    from labelled
    group by account_id, movement_date, movement_type, movement_subtype
)

select * from final
