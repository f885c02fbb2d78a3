-- Grain: account x month at whose end (or as_of) it has bought before, never had a subscription, and stopped (decision log, D63).
with invoices as (
    select * from {{ ref('stg_billing__invoices') }}
    where account_id is not null and status = 'paid' and paid_on is not null and amount_paid > 0
),

periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
),

first_states as (
    select account_id, min(valid_from) as subscribed_on from {{ ref('int_account_states') }} group by account_id
),

-- of two payments on one day the first lasts no day
spans as (
    select
        account_id,
        {{ add_days('paid_on', var('purchase_gap_days') | int) }} as stopped_from,
        coalesce(lead(paid_on) over (partition by account_id order by paid_on), {{ far_future() }}) as stopped_to
    from invoices
),

final as (
    select spans.account_id, periods.period_type, periods.period_start, periods.closing_date as cut_date
    from spans
    inner join periods on spans.stopped_from <= periods.closing_date and spans.stopped_to > periods.closing_date
    left join first_states on spans.account_id = first_states.account_id
    where first_states.subscribed_on is null or first_states.subscribed_on > periods.closing_date
)

select * from final
