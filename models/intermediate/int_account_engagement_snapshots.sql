-- Grain: account x month of which it is a customer at the end: its weighted touchpoints of 180 days and its band (decision log, D49).
with customers as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month' and closing_state <> 'gone'
),

cuts as (
    select * from {{ ref('int_account_cuts') }}
),

activities as (
    select * from {{ ref('int_activities_weighed') }}
    where is_touchpoint
),

touched as (
    select customers.account_id, customers.period_start, sum(activities.weight) as weighted_touchpoints
    from customers
    inner join activities
        on
            customers.account_id = activities.account_id
            and activities.occurred_on <= customers.closing_date
            and activities.occurred_on > {{ add_days('customers.closing_date', -180) }}
    group by customers.account_id, customers.period_start
),

weighed as (
    select
        customers.account_id,
        customers.period_start as month,
        customers.closing_date as snapshot_date,
        customers.closing_state,
        customers.closing_mrr,
        cuts.segment,
        cast(coalesce(touched.weighted_touchpoints, 0) as double) as weighted_touchpoints_180d
    from customers
    inner join cuts
        on
            customers.account_id = cuts.account_id
            and customers.closing_date >= cuts.valid_from
            and customers.closing_date < cuts.valid_to
    left join touched on customers.account_id = touched.account_id and customers.period_start = touched.period_start
),

ranked as (
    select
        weighed.*,
        rank() over (partition by month, segment order by weighted_touchpoints_180d) as touch_rank,
        count(*) over (partition by month, segment) as n_accounts
    from weighed
),

final as (
    select
        account_id,
        month,
        snapshot_date,
        closing_state,
        closing_mrr,
        segment,
        weighted_touchpoints_180d,
        case
            when 3 * (touch_rank - 1) < n_accounts then 'low'
            when 3 * (touch_rank - 1) < 2 * n_accounts then 'medium'
            else 'high'
        end as engagement_band
    from ranked
)

select * from final
