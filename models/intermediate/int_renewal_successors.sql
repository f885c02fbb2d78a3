-- Grain: contract term x subscription that continues it by name: in time, or late within the grace days.
with due_terms as (
    select * from {{ ref('int_renewal_terms') }}
),

subscriptions as (
    select * from {{ ref('stg_billing__subscriptions') }}
    where account_id is not null
),

final as (
    select
        due_terms.term_id,
        subscriptions.subscription_id,
        subscriptions.started_on,
        subscriptions.started_on > due_terms.due_date as is_late
    from due_terms
    inner join subscriptions on due_terms.subscription_id = subscriptions.renews_subscription_id
    where
        {{ has_begun('subscriptions.status') }}
        -- one that was over by the day due, or on its first day, took nothing over
        and (
            subscriptions.ended_on is null
            or subscriptions.ended_on > greatest(subscriptions.started_on, due_terms.due_date)
        )
        and (
            subscriptions.started_on <= due_terms.due_date
            or due_terms.is_ended
            and subscriptions.started_on <= {{ add_days('due_terms.due_date', var('late_renewal_grace_days') | int) }}
        )
)

select * from final
