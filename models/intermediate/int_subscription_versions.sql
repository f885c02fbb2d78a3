-- Grain: recurring item version x [valid_from, valid_to) within its subscription, with its monthly run-rate and its trial.
with subscriptions as (
    select * from {{ ref('stg_billing__subscriptions') }}
    where account_id is not null and {{ has_begun('status') }}
),

items as (
    select * from {{ ref('stg_billing__subscription_items') }}
    where is_recurring
),

products as (
    select * from {{ ref('plan_products') }}
),

-- a successor that starts within the grace days carries its predecessor to its own start, unless another one took over
-- in time: then the predecessor would count beside it; one that was over by then or on its first day took nothing over
-- (decision log, D9)
continuations as (
    select predecessors.subscription_id, min(successors.started_on) as continued_until
    from subscriptions as predecessors
    inner join subscriptions as successors on predecessors.subscription_id = successors.renews_subscription_id
    where successors.ended_on is null or successors.ended_on > greatest(successors.started_on, predecessors.ended_on)
    group by predecessors.subscription_id, predecessors.ended_on
    having
        min(successors.started_on) > predecessors.ended_on
        and min(successors.started_on) <= {{ add_days('predecessors.ended_on', var('late_renewal_grace_days') | int) }}
),

lasting_items as (
    select
        items.*,
        {%- if var('finite_discounts') == 'ignore' %}
        min(discount_pct) over (
            partition by item_id order by effective_from, item_version_id rows between current row and unbounded following
        ) as counted_discount_pct
        {%- else %}
        discount_pct as counted_discount_pct
        {%- endif %}
    from items
),

final as (
    select
        subscriptions.account_id,
        subscriptions.subscription_id,
        subscriptions.currency,
        lasting_items.item_version_id,
        lasting_items.item_id,
        lasting_items.plan_id,
        coalesce(products.product_name, lasting_items.plan_id) as product_name,
        lasting_items.quantity,
        {{ mrr_of('lasting_items') }} as mrr,
        lasting_items.effective_from_on as valid_from,
        case
            when subscriptions.ended_on is null then coalesce(lasting_items.effective_to_on, {{ far_future() }})
            when lasting_items.effective_to_on < subscriptions.ended_on then lasting_items.effective_to_on
            when lasting_items.effective_from_on < subscriptions.ended_on
                then coalesce(continuations.continued_until, subscriptions.ended_on)
            else subscriptions.ended_on
        end as valid_to,
        case
            when subscriptions.trial_end is not null or subscriptions.trial_start is not null
                then coalesce(subscriptions.trial_start_on, {{ beginning() }})
        end as trial_from,
        -- a trial open at the end lasts on: what a late successor continues was never paid for
        case
            when subscriptions.trial_end_on < coalesce(subscriptions.ended_on, {{ far_future() }})
                then subscriptions.trial_end_on
            else {{ far_future() }}
        end as trial_to
    from subscriptions
    inner join lasting_items on subscriptions.subscription_id = lasting_items.subscription_id
    left join continuations on subscriptions.subscription_id = continuations.subscription_id
    left join products on lasting_items.plan_id = products.plan_id
)

select * from final
