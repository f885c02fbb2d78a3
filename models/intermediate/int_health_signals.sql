-- Grain: customer x day to be scored: what billing, surveys, contact and onboarding said by that day (requirements, C9).
with customers as (
    select * from {{ ref('int_health_accounts') }}
),

billing as (
    select * from {{ ref('int_health_billing') }}
),

voices as (
    select * from {{ ref('int_health_voices') }}
),

touches as (
    select * from {{ ref('stg_cs__activities') }}
    where status = 'completed' and direction = 'outbound' and not is_automated
),

onboardings as (
    select * from {{ ref('stg_cs__onboardings') }}
),

contacts as (
    select customers.account_id, customers.score_date, max(touches.occurred_on) as last_touch_on
    from customers
    inner join touches
        on customers.account_id = touches.account_id and customers.score_date >= touches.occurred_on
    group by customers.account_id, customers.score_date
),

first_touches as (
    select min(occurred_on) as first_touch_on from touches
),

customer_starts as (
    select account_id, valid_from as customer_since from {{ ref('int_account_states') }} where movement_type = 'new'
),

open_onboardings as (
    select
        customers.account_id,
        customers.score_date,
        onboardings.started_on,
        onboardings.target_days,
        onboardings.first_value_on,
        row_number() over (
            partition by customers.account_id, customers.score_date
            order by onboardings.started_on desc, onboardings.started_at desc, onboardings.onboarding_id
        ) as recency
    from customers
    inner join onboardings
        on
            customers.account_id = onboardings.account_id
            and customers.score_date >= onboardings.started_on
            and (onboardings.completed_on is null or customers.score_date < onboardings.completed_on)
            and (onboardings.cancelled_on is null or customers.score_date < onboardings.cancelled_on)
),

final as (
    select
        customers.account_id,
        customers.score_date,
        billing.has_cancel_request,
        billing.is_overdue,
        billing.renewed_poorly,
        voices.mean_nps,
        voices.n_nps,
        voices.nps_on,
        voices.n_csat,
        voices.n_satisfied,
        voices.csat_on,
        contacts.last_touch_on,
        customer_starts.customer_since,
        -- a company that records its contacts and never touched this customer has kept away since it became one
        case
            when first_touches.first_touch_on <= customers.score_date
                then {{ days_between('coalesce(contacts.last_touch_on, customer_starts.customer_since)', 'customers.score_date') }}
        end as days_since_touch,
        open_onboardings.started_on as onboarding_started_on,
        open_onboardings.target_days,
        coalesce(open_onboardings.first_value_on <= customers.score_date, false) as has_first_value
    from customers
    cross join first_touches
    inner join billing on customers.account_id = billing.account_id and customers.score_date = billing.score_date
    left join voices on customers.account_id = voices.account_id and customers.score_date = voices.score_date
    left join contacts on customers.account_id = contacts.account_id and customers.score_date = contacts.score_date
    left join customer_starts on customers.account_id = customer_starts.account_id
    left join open_onboardings
        on
            customers.account_id = open_onboardings.account_id
            and customers.score_date = open_onboardings.score_date
            and open_onboardings.recency = 1
)

select * from final
