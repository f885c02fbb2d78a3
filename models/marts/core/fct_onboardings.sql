-- Grain: onboarding.
with outcomes as (
    select * from {{ ref('int_onboarding_outcomes') }}
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

final as (
    select
        outcomes.onboarding_id,
        outcomes.account_id,
        accounts.account_name,
        outcomes.csm_user_id,
        accounts.segment,
        outcomes.purchased_on,
        outcomes.started_on,
        outcomes.completed_on,
        outcomes.first_value_on,
        outcomes.first_value_milestone,
        cast(outcomes.days_to_first_value as integer) as days_to_first_value,
        cast(outcomes.days_from_purchase as integer) as days_from_purchase,
        outcomes.status,
        cast(outcomes.observed_days as integer) as observed_days,
        outcomes.target_days,
        outcomes.is_within_target
    from outcomes
    inner join accounts on outcomes.account_id = accounts.account_id
)

select * from final
