-- Grain: month end x segment ('all' too): rank correlation of the monthly NPS until then with the churn of the six months after each.
with snapshots as (
    select period_start as month, period_end as month_end from {{ ref('int_periods') }}
    where period_type = 'month' and {{ add_days('period_end', 180) }} <= {{ as_of_date() }}
),

-- six months are longer by a few days, in which a snapshot rests on the months before its own
months as (
    select * from snapshots
    where {{ add_days(add_months('month', 7), -1) }} <= {{ as_of_date() }}
),

monthly_nps as (
    select period_start as month, segment_value, value as nps from {{ ref('kpi_net_promoter_score') }}
    where period_type = 'month' and segment_type in ('all', 'segment') and value is not null
),

states as (
    select * from {{ ref('int_account_states') }}
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

outcomes as (
    select
        months.month,
        months.month_end,
        customers.account_id,
        accounts.segment,
        max(case when departures.account_id is null then 0 else 1 end) as is_churned
    from months
    inner join states as customers
        on customers.valid_from <= months.month_end and customers.valid_to > months.month_end and customers.state <> 'gone'
    inner join accounts on customers.account_id = accounts.account_id
    left join states as departures
        on
            customers.account_id = departures.account_id
            and departures.movement_type = 'churn'
            and departures.valid_from > months.month_end
            and departures.valid_from < {{ add_months('months.month', 7) }}
    group by months.month, months.month_end, customers.account_id, accounts.segment
),

churn as (
    select month, month_end, 'all' as segment_value, avg(is_churned) as churn_rate from outcomes
    group by month, month_end
    union all
    select month, month_end, segment as segment_value, avg(is_churned) as churn_rate from outcomes
    group by month, month_end, segment
),

pairs as (
    select churn.month_end, churn.segment_value, monthly_nps.nps, churn.churn_rate
    from churn
    inner join monthly_nps on churn.month = monthly_nps.month and churn.segment_value = monthly_nps.segment_value
),

-- equal values share the mean of their ranks
ranked as (
    select
        snapshots.month_end as snapshot_date,
        pairs.segment_value,
        {%- for column in ['nps', 'churn_rate'] %}
        rank() over (partition by snapshots.month_end, pairs.segment_value order by pairs.{{ column }})
        + (count(*) over (partition by snapshots.month_end, pairs.segment_value, pairs.{{ column }}) - 1) / 2.0 as {{ column }}_rank{{ ',' if not loop.last }}
        {%- endfor %}
    from snapshots
    inner join pairs on pairs.month_end <= snapshots.month_end
),

final as (
    select
        snapshot_date,
        segment_value,
        count(*) as n_months,
        case
            when count(*) >= 12 and min(nps_rank) < max(nps_rank) and min(churn_rate_rank) < max(churn_rate_rank)
                -- rounded, so that the order in which an engine adds up does not show
                then round({{ correlation('cast(nps_rank as double)', 'cast(churn_rate_rank as double)') }}, 12)
        end as spearman
    from ranked
    group by snapshot_date, segment_value
)

select * from final
