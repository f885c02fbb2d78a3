-- Grain: account x month at whose end (or as_of) it is red by its last score, or has asked to cancel.
with account_periods as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month'
),

cancel_requests as (
    select account_id, cancel_requested_on, coalesce(ended_on, {{ far_future() }}) as ended_on
    from {{ ref('stg_billing__subscriptions') }}
    where cancel_requested_on is not null
),

scores as (
    select
        account_id,
        score_date as valid_from,
        coalesce(lead(score_date) over (partition by account_id order by score_date), {{ far_future() }}) as valid_to,
        colour
    from {{ ref('int_health_scores') }}
),

final as (
    select account_periods.account_id, account_periods.period_start as month
    from account_periods
    inner join scores
        on
            account_periods.account_id = scores.account_id
            and account_periods.closing_date >= scores.valid_from
            and account_periods.closing_date < scores.valid_to
            and scores.colour = 'red'
    union
    select account_periods.account_id, account_periods.period_start as month
    from account_periods
    inner join cancel_requests
        on
            account_periods.account_id = cancel_requests.account_id
            and account_periods.closing_date >= cancel_requests.cancel_requested_on
            and account_periods.closing_date < cancel_requests.ended_on
)

select * from final
