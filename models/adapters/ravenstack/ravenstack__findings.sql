-- Grain: contradiction inside the data set, counted. None of them stops the build; each says what the adapter does about it.
with accounts as (
    select * from {{ source('ravenstack', 'accounts') }}
),

subscriptions as (
    select * from {{ source('ravenstack', 'subscriptions') }}
),

usage_rows as (
    select * from {{ source('ravenstack', 'feature_usage') }}
),

churn_events as (
    select * from {{ source('ravenstack', 'churn_events') }}
),

tickets as (
    select * from {{ source('ravenstack', 'support_tickets') }}
),

running as (
    select distinct account_id from subscriptions where end_date is null and not is_trial
),

findings as (
    select
        'accounts_flagged_churned_with_running_subscriptions' as finding,
        count(running.account_id) as n_rows,
        count(*) as n_examined,
        'The flag of the account is not used: an account churned when its last subscription ended.' as treatment
    from accounts
    left join running on accounts.account_id = running.account_id
    where accounts.churn_flag
    union all
    select
        'churn_events_of_accounts_that_went_on' as finding,
        count(case when going_on.subscription_id is not null then 1 end) as n_rows,
        count(*) as n_examined,
        'The event gives a reason to the subscription that ended nearest to it, and no churn.' as treatment
    from churn_events
    left join (
        select churn_events.churn_event_id, min(subscriptions.subscription_id) as subscription_id
        from churn_events
        inner join subscriptions
            on
                churn_events.account_id = subscriptions.account_id
                and not subscriptions.is_trial
                and churn_events.churn_date >= subscriptions.start_date
                and (subscriptions.end_date is null or churn_events.churn_date < subscriptions.end_date)
        group by churn_events.churn_event_id
    ) as going_on on churn_events.churn_event_id = going_on.churn_event_id
    union all
    select
        'usage_outside_its_subscription' as finding,
        count(case when usage_rows.usage_date < subscriptions.start_date or usage_rows.usage_date >= subscriptions.end_date then 1 end) as n_rows,
        count(*) as n_examined,
        'It counts as usage of the account on its day.' as treatment
    from usage_rows
    inner join subscriptions on usage_rows.subscription_id = subscriptions.subscription_id
    union all
    select
        'usage_ids_of_several_events' as finding,
        count(*) - count(distinct usage_id) as n_rows,
        count(*) as n_examined,
        'Subscription and day are made part of the event id, so no event is lost.' as treatment
    from usage_rows
    union all
    select
        'subscriptions_ended_on_the_day_they_started' as finding,
        count(case when end_date = start_date then 1 end) as n_rows,
        count(*) as n_examined,
        'They never carry MRR: a day counts by its end.' as treatment
    from subscriptions
    union all
    select
        'subscriptions_overlapping_another_of_their_account' as finding,
        count(overlapping.subscription_id) as n_rows,
        count(*) as n_examined,
        'All of them count: the subscriptions of an account are summed.' as treatment
    from subscriptions
    left join (
        select distinct earlier.subscription_id
        from subscriptions as earlier
        inner join subscriptions as later
            on
                earlier.account_id = later.account_id
                and earlier.subscription_id <> later.subscription_id
                and earlier.start_date <= later.start_date
                and (earlier.end_date is null or later.start_date < earlier.end_date)
    ) as overlapping on subscriptions.subscription_id = overlapping.subscription_id
    union all
    select
        'first_reply_after_the_ticket_was_closed' as finding,
        count(case when {{ dbt.dateadd('minute', 'cast(first_response_time_minutes as integer)', 'cast(submitted_at as timestamp)') }} > closed_at then 1 end)
            as n_rows,
        count(*) as n_examined,
        'The reply keeps its instant, so the ticket is judged by the rules of first-contact resolution as it stands.' as treatment
    from tickets
),

final as (
    select
        finding,
        cast(n_rows as bigint) as n_rows,
        cast(n_examined as bigint) as n_examined,
        treatment
    from findings
)

select * from final
