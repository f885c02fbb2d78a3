-- Grain: account x month in which it was touched, or of which it is a customer at the end.
with periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
),

activities as (
    select * from {{ ref('int_activities_weighed') }}
    where is_touchpoint and account_id is not null
),

snapshots as (
    select * from {{ ref('int_account_engagement_snapshots') }}
),

touched as (
    select
        account_id,
        {{ month_of('occurred_on') }} as month,
        count(*) as touchpoints,
        sum(weight) as weighted_touchpoints,
        max(occurred_on) as last_touch_on
    from activities
    group by account_id, {{ month_of('occurred_on') }}
),

account_months as (
    select account_id, month from touched
    union
    select account_id, month from snapshots
),

joined as (
    select
        account_months.account_id,
        account_months.month,
        periods.closing_date,
        coalesce(touched.touchpoints, 0) as touchpoints,
        coalesce(touched.weighted_touchpoints, 0) as weighted_touchpoints,
        max(touched.last_touch_on) over (
            partition by account_months.account_id order by account_months.month
            rows between unbounded preceding and current row
        ) as last_touch_on,
        snapshots.engagement_band
    from account_months
    inner join periods on account_months.month = periods.period_start
    left join touched on account_months.account_id = touched.account_id and account_months.month = touched.month
    left join snapshots on account_months.account_id = snapshots.account_id and account_months.month = snapshots.month
),

final as (
    select
        month,
        account_id,
        cast(touchpoints as bigint) as touchpoints,
        cast(weighted_touchpoints as double) as weighted_touchpoints,
        last_touch_on,
        cast({{ days_between('last_touch_on', 'closing_date') }} as integer) as days_since_last_touch,
        engagement_band
    from joined
)

select * from final
