-- Grain: account x day on which its MRR or its state changed; amount unrounded, by the ledger's valuation rule.
with balances as (
    select * from {{ ref('int_account_balances') }}
),

states as (
    select * from {{ ref('int_account_states') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

days as (
    select distinct
        account_id,
        valid_from as movement_date,
        {{ month_of('valid_from') }} as month
    from balances
),

-- with an opening balance the month's changes are valued at the previous month end, else at this month's end
valued as (
    select
        days.account_id,
        days.movement_date,
        case
            when opening.account_id is not null then {{ add_days('days.month', -1) }}
            else least({{ add_days(add_months('days.month', 1), -1) }}, {{ as_of_date() }})
        end as valuation_date
    from days
    left join states as opening
        on
            days.account_id = opening.account_id
            and opening.state = 'paying'
            and opening.valid_from < days.month
            and opening.valid_to >= days.month
),

changes as (
    select
        balances.account_id,
        balances.valid_from as movement_date,
        valued.valuation_date,
        {{ whole_sum(
            convert('balances.mrr', 'rates.rate') ~ ' - ' ~ convert('balances.mrr - balances.mrr_change', 'rates.rate')
        ) }} as amount
    from balances
    inner join valued
        on balances.account_id = valued.account_id and balances.valid_from = valued.movement_date
    left join rates
        on {{ rate_on('rates', 'balances.currency', 'valued.valuation_date') }}
    group by balances.account_id, balances.valid_from, valued.valuation_date
),

final as (
    select
        changes.account_id,
        changes.movement_date,
        changes.valuation_date,
        {{ exact('changes.amount') }} as amount,
        case
            when states.movement_type is not null then states.movement_type
            when changes.amount > 0 then 'expansion'
            when changes.amount < 0 then 'contraction'
        end as movement_type
    from changes
    left join states on changes.account_id = states.account_id and changes.movement_date = states.valid_from
)

select * from final
