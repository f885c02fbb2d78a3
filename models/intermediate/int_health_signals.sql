-- Grain: customer x day to be scored: what billing, surveys, contact and onboarding said by that day (requirements, C9).
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

answers as (
    select * from {{ ref('fct_survey_responses') }}
    where is_counted
),

touches as (
    select * from {{ ref('stg_cs__activities') }}
    where status = 'completed' and direction = 'outbound' and not is_automated
),

onboardings as (
    select * from {{ ref('stg_cs__onboardings') }}
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
            and {{ add_days('customers.score_date', -365) }} <= invoices.issued_on
            and (invoices.paid_on is null and invoices.status <> 'paid' or invoices.paid_on > customers.score_date)
            and invoices.amount_subtotal > 0
),

last_renewals as (
    select
        customers.account_id,
        customers.score_date,
        renewals.outcome = 'renewed_late' or renewals.downsell_arr > 0 as was_poor,
        row_number() over (
            partition by customers.account_id, customers.score_date order by renewals.due_date desc, renewals.term_id
        ) as recency
    from customers
    inner join renewals
        on
            customers.account_id = renewals.account_id
            and customers.score_date >= renewals.due_date
            and {{ add_days('customers.score_date', -365) }} < renewals.due_date
),

surveyed as (
    select
        customers.account_id,
        customers.score_date,
        answers.survey_type,
        answers.contact_id,
        answers.score,
        answers.category,
        answers.responded_on,
        row_number() over (
            partition by customers.account_id, customers.score_date, answers.survey_type, coalesce(answers.contact_id, answers.response_id)
            order by answers.responded_on desc, answers.response_id desc
        ) as recency
    from customers
    inner join answers
        on
            customers.account_id = answers.account_id
            and customers.score_date >= answers.responded_on
            and {{ add_days('customers.score_date', -180) }} < answers.responded_on
    where answers.survey_type in ('nps', 'csat')
),

voices as (
    select
        account_id,
        score_date,
        avg(case when survey_type = 'nps' and recency = 1 then cast(score as double) end) as mean_nps,
        count(case when survey_type = 'nps' and recency = 1 then 1 end) as n_nps,
        max(case when survey_type = 'nps' then responded_on end) as nps_on,
        count(case when survey_type = 'csat' and responded_on > {{ add_days('score_date', -90) }} then 1 end) as n_csat,
        count(case when survey_type = 'csat' and responded_on > {{ add_days('score_date', -90) }} and category = 'positive' then 1 end)
            as n_satisfied,
        max(case when survey_type = 'csat' then responded_on end) as csat_on
    from surveyed
    group by account_id, score_date
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
    select account_id, min(valid_from) as customer_since from {{ ref('int_account_states') }} where movement_type = 'new' group by account_id
),

open_onboardings as (
    select
        customers.account_id,
        customers.score_date,
        onboardings.started_on,
        onboardings.target_days,
        onboardings.first_value_on,
        row_number() over (
            partition by customers.account_id, customers.score_date order by onboardings.started_on desc, onboardings.onboarding_id
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
        case when cancel_requests.account_id is not null then 1 else 0 end as has_cancel_request,
        case when overdue.account_id is not null then 1 else 0 end as is_overdue,
        case when last_renewals.was_poor then 1 else 0 end as renewed_poorly,
        voices.mean_nps,
        voices.n_nps,
        voices.nps_on,
        voices.n_csat,
        voices.n_satisfied,
        voices.csat_on,
        contacts.last_touch_on,
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
    left join cancel_requests
        on customers.account_id = cancel_requests.account_id and customers.score_date = cancel_requests.score_date
    left join overdue on customers.account_id = overdue.account_id and customers.score_date = overdue.score_date
    left join last_renewals
        on
            customers.account_id = last_renewals.account_id
            and customers.score_date = last_renewals.score_date
            and last_renewals.recency = 1
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
