-- Grain: customer x day to be scored: what billing said by that day (requirements, C9: predecessors of churn, never its outcome).
with customers as (
    select * from {{ ref('int_health_accounts') }}
),

subscriptions as (
    select * from {{ ref('stg_billing__subscriptions') }}
),

invoices as (
    select * from {{ ref('stg_billing__invoices') }}
    where status not in ('draft', 'void')
),

renewals as (
    select * from {{ ref('int_renewals') }}
    where outcome <> 'upcoming'
),

cancel_requests as (
    select distinct customers.account_id, customers.score_date
    from customers
    inner join subscriptions
        on
            customers.account_id = subscriptions.account_id
            and customers.score_date >= subscriptions.cancel_requested_on
            and (subscriptions.ended_on is null or customers.score_date < subscriptions.ended_on)
),

-- unpaid for more than 30 days on that day, whatever was paid later
overdue as (
    select distinct customers.account_id, customers.score_date
    from customers
    inner join invoices
        on
            customers.account_id = invoices.account_id
            and {{ add_days('customers.score_date', -30) }} > invoices.issued_on
            and (invoices.paid_on is null and invoices.status <> 'paid' or invoices.paid_on > customers.score_date)
            and invoices.amount_subtotal > 0
),

-- what comes due on one day has one rank: subscriptions are often signed to end together
last_renewals as (
    select
        customers.account_id,
        customers.score_date,
        renewals.outcome = 'renewed_late' or renewals.downsell_arr > 0 or renewals.churn_arr > 0 as was_poor,
        rank() over (partition by customers.account_id, customers.score_date order by renewals.due_date desc) as recency
    from customers
    inner join renewals
        on
            customers.account_id = renewals.account_id
            and customers.score_date >= renewals.due_date
            and {{ add_days('customers.score_date', -365) }} < renewals.due_date
),

poor_renewals as (
    select distinct account_id, score_date from last_renewals
    where recency = 1 and was_poor
),

final as (
    select
        customers.account_id,
        customers.score_date,
        case when cancel_requests.account_id is not null then 1 else 0 end as has_cancel_request,
        case when overdue.account_id is not null then 1 else 0 end as is_overdue,
        case when poor_renewals.account_id is not null then 1 else 0 end as renewed_poorly
    from customers
    left join cancel_requests
        on customers.account_id = cancel_requests.account_id and customers.score_date = cancel_requests.score_date
    left join overdue on customers.account_id = overdue.account_id and customers.score_date = overdue.score_date
    left join poor_renewals
        on customers.account_id = poor_renewals.account_id and customers.score_date = poor_renewals.score_date
)

select * from final
