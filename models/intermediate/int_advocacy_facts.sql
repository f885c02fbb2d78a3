-- Grain: period x advocacy activity requested or completed in it, each on its own day (decision log, D50).
with advocacy as (
    select * from {{ ref('stg_cs__advocacy') }}
),

periods as (
    select * from {{ ref('int_periods') }}
    where period_type in ('month', 'quarter')
),

balances as (
    select * from {{ ref('int_account_balances') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

happened as (
    select advocacy_id, account_id, user_id, advocacy_type, requested_on as happened_on, 1 as n_requested, 0 as n_completed
    from advocacy
    where requested_on is not null
    union all
    select advocacy_id, account_id, user_id, advocacy_type, completed_on as happened_on, 0 as n_requested, 1 as n_completed
    from advocacy
    where status = 'completed' and completed_on is not null
),

valued as (
    select
        happened.advocacy_id,
        {{ exact('12 * sum(' ~ convert('balances.mrr', 'rates.rate') ~ ')') }} as arr
    from happened
    inner join balances
        on
            happened.account_id = balances.account_id
            and happened.happened_on >= balances.valid_from
            and happened.happened_on < balances.valid_to
    left join rates on {{ rate_on('rates', 'balances.currency', 'happened.happened_on') }}
    where happened.n_completed = 1
    group by happened.advocacy_id
),

-- an account that speaks up twice in a period is the same money
placed as (
    select
        periods.period_type,
        periods.period_start,
        happened.*,
        valued.arr,
        row_number() over (
            partition by periods.period_type, periods.period_start, happened.account_id, happened.n_completed
            order by happened.happened_on, happened.advocacy_id
        ) as account_rank
    from periods
    inner join happened
        on happened.happened_on >= periods.period_start and happened.happened_on <= periods.closing_date
    left join valued on happened.advocacy_id = valued.advocacy_id
),

final as (
    select
        period_type,
        period_start,
        happened_on as cut_date,
        account_id,
        user_id,
        advocacy_type,
        n_requested,
        n_completed,
        {{ exact('case when n_completed = 1 and account_rank = 1 then coalesce(arr, 0) else 0 end') }} as influenced_arr
    from placed
)

select * from final
