-- Grain: account x month end whose next 180 days are over: its engagement band then, and what followed (decision log, D52).
with snapshots as (
    select
        account_id,
        snapshot_date,
        segment,
        engagement_band,
        closing_mrr as opening_mrr,
        {{ add_days('snapshot_date', 180) }} as horizon_date
    from {{ ref('int_account_engagement_snapshots') }}
    where {{ add_days('snapshot_date', 180) }} <= {{ as_of_date() }}
),

states as (
    select * from {{ ref('int_account_states') }}
),

balances as (
    select * from {{ ref('int_account_balances') }}
    where mrr <> 0
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

cash_months as (
    select * from {{ ref('int_account_cash_months') }}
),

advocacy as (
    select * from {{ ref('stg_cs__advocacy') }}
    where status = 'completed' and completed_on is not null
),

-- the days after the snapshot up to the horizon, at the snapshot's rates
held as (
    select
        snapshots.account_id,
        snapshots.snapshot_date,
        case when balances.account_id is null then 0 else {{ convert('balances.mrr', 'rates.rate') }} end as mrr,
        balances.valid_to > snapshots.horizon_date as is_held_at_horizon,
        {{ days_between(
            'greatest(balances.valid_from, ' ~ add_days('snapshots.snapshot_date', 1) ~ ')',
            'least(balances.valid_to, ' ~ add_days('snapshots.horizon_date', 1) ~ ')'
        ) }} as n_days
    from snapshots
    left join balances
        on
            snapshots.account_id = balances.account_id
            and balances.valid_from <= snapshots.horizon_date
            and balances.valid_to > {{ add_days('snapshots.snapshot_date', 1) }}
    left join rates on {{ rate_on('rates', 'balances.currency', 'snapshots.snapshot_date') }}
),

earned as (
    select
        account_id,
        snapshot_date,
        {{ whole_sum('case when is_held_at_horizon then mrr else 0 end') }} as closing_mrr,
        case when count(*) = count(mrr) then {{ exact_sum('cast(mrr as double) * n_days') }} * 12 / 365 end as revenue
    from held
    group by account_id, snapshot_date
),

spent as (
    select snapshots.account_id, snapshots.snapshot_date, sum(cash_months.retention_cost) as retention_cost
    from snapshots
    inner join cash_months
        on
            snapshots.account_id = cash_months.account_id
            and cash_months.month > snapshots.snapshot_date
            and cash_months.month <= snapshots.horizon_date
    group by snapshots.account_id, snapshots.snapshot_date
),

advocated as (
    select snapshots.account_id, snapshots.snapshot_date, count(*) as n_advocacy
    from snapshots
    inner join advocacy
        on
            snapshots.account_id = advocacy.account_id
            and advocacy.completed_on > snapshots.snapshot_date
            and advocacy.completed_on <= snapshots.horizon_date
    group by snapshots.account_id, snapshots.snapshot_date
),

final as (
    select
        snapshots.account_id,
        snapshots.snapshot_date,
        snapshots.segment,
        snapshots.engagement_band,
        states.state is null or states.state = 'gone' as is_churned,
        {{ exact('snapshots.opening_mrr') }} as opening_mrr,
        {{ exact('earned.closing_mrr') }} as closing_mrr,
        {{ exact(
            'earned.revenue * ' ~ var('gross_margin_pct') ~ ' / 100 - cast(coalesce(spent.retention_cost, 0) as double)'
        ) }} as gross_margin,
        coalesce(advocated.n_advocacy, 0) as n_advocacy
    from snapshots
    left join states
        on
            snapshots.account_id = states.account_id
            and snapshots.horizon_date >= states.valid_from
            and snapshots.horizon_date < states.valid_to
    {%- for part in ['earned', 'spent', 'advocated'] %}
    left join {{ part }} on snapshots.account_id = {{ part }}.account_id and snapshots.snapshot_date = {{ part }}.snapshot_date
    {%- endfor %}
)

select * from final
