-- Grain: contract term that began, with the day it came or comes due (decision log, D16).
with terms as (
    select * from {{ ref('stg_billing__contract_terms') }}
),

subscriptions as (
    select * from {{ ref('stg_billing__subscriptions') }}
    where account_id is not null and {{ has_begun('status') }}
),

final as (
    select
        terms.term_id,
        terms.term_end,
        terms.auto_renew,
        subscriptions.subscription_id,
        subscriptions.account_id,
        subscriptions.cancel_requested_on,
        least(terms.term_end, coalesce(subscriptions.ended_on, terms.term_end)) as due_date,
        coalesce(subscriptions.ended_on <= terms.term_end, false) as is_ended
    from terms
    inner join subscriptions on terms.subscription_id = subscriptions.subscription_id
    where subscriptions.ended_on is null or subscriptions.ended_on > terms.term_start
)

select * from final
