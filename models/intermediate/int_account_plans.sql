-- Grain: account x day on which its plans changed: the plan with the greatest MRR (paused ones count with what they would bring).
with segments as (
    select * from {{ ref('int_subscription_segments') }}
    where valid_from <= {{ as_of_date() }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

days as (
    select account_id, valid_from as changed_on from segments
    union
    select account_id, valid_to as changed_on from segments where valid_to <= {{ as_of_date() }}
),

held as (
    select
        days.account_id,
        days.changed_on,
        segments.plan_id,
        sum({{ convert('segments.mrr + segments.paused_mrr', 'rates.rate') }}) as amount
    from days
    inner join segments
        on
            days.account_id = segments.account_id
            and days.changed_on >= segments.valid_from
            and days.changed_on < segments.valid_to
    left join rates on {{ rate_on('rates', 'segments.currency', 'days.changed_on') }}
    group by days.account_id, days.changed_on, segments.plan_id
),

ranked as (
    select
        held.*,
        row_number() over (partition by account_id, changed_on order by amount desc nulls last, plan_id) as plan_rank
    from held
),

plan_lists as (
    select account_id, changed_on, {{ joined_text('plan_id') }} as plan_ids
    from held
    group by account_id, changed_on
),

final as (
    select days.account_id, days.changed_on, coalesce(ranked.plan_id, 'none') as main_plan_id, plan_lists.plan_ids
    from days
    left join ranked
        on days.account_id = ranked.account_id and days.changed_on = ranked.changed_on and ranked.plan_rank = 1
    left join plan_lists on days.account_id = plan_lists.account_id and days.changed_on = plan_lists.changed_on
)

select * from final
