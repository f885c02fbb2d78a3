-- Grain: customer at the end of a month, with its score of the month's last snapshot day and its ARR (decision log, D102).
with customers as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month' and closing_state <> 'gone'
),

scores as (
    select * from {{ ref('int_health_scores') }}
),

snapshots as (
    select {{ month_of('score_date') }} as month, max(score_date) as snapshot_date
    from scores
    group by {{ month_of('score_date') }}
),

final as (
    select
        customers.account_id,
        customers.period_type,
        customers.period_start,
        customers.closing_date as cut_date,
        scores.score,
        coalesce(scores.colour, 'unknown') as colour,
        {{ exact('12 * customers.closing_mrr') }} as arr
    from customers
    left join snapshots on customers.period_start = snapshots.month
    left join scores
        on customers.account_id = scores.account_id and snapshots.snapshot_date = scores.score_date
)

select * from final
