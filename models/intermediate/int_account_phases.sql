-- Grain: account x phase (onboarding, renewal) x [opens_on, closes_on); closes_on is NULL while it lasts.
with onboardings as (
    select * from {{ ref('stg_cs__onboardings') }}
    where account_id is not null
),

terms as (
    select * from {{ ref('stg_billing__contract_terms') }}
),

subscriptions as (
    select * from {{ ref('stg_billing__subscriptions') }}
    where account_id is not null and {{ has_begun('status') }}
),

renewal_windows as (
    select
        subscriptions.account_id,
        greatest(terms.term_start, {{ add_days('terms.term_end', -90) }}) as opens_on,
        least(terms.term_end, coalesce(subscriptions.ended_on, terms.term_end)) as closes_on
    from terms
    inner join subscriptions on terms.subscription_id = subscriptions.subscription_id
),

final as (
    select
        account_id, 'onboarding' as phase, started_on as opens_on,
        case when cancelled_on < completed_on then cancelled_on else coalesce(completed_on, cancelled_on) end as closes_on
    from onboardings
    union all
    select account_id, 'renewal' as phase, opens_on, closes_on from renewal_windows
)

select * from final
where closes_on is null or closes_on > opens_on
