-- Grain: onboarding of a known account: what became of it, and how long it was observed on both clocks (decision log, D67, D68).
with onboardings as (
    select * from {{ ref('stg_cs__onboardings') }}
    where account_id is not null
),

ended as (
    select
        onboardings.*,
        case
            when first_value_on is not null then 'achieved'
            when cancelled_on is not null then 'cancelled'
            else 'open'
        end as status,
        coalesce(first_value_on, cancelled_on, {{ as_of_date() }}) as observed_to
    from onboardings
),

timed as (
    select
        ended.*,
        greatest({{ days_between('started_on', 'observed_to') }}, 0) as observed_days,
        -- greatest() of an unknown purchase would not be NULL everywhere
        case when purchased_on is not null then greatest({{ days_between('purchased_on', 'observed_to') }}, 0) end
            as observed_days_from_purchase
    from ended
),

final as (
    select
        onboarding_id,
        account_id,
        csm_user_id,
        purchased_on,
        started_on,
        completed_on,
        first_value_on,
        first_value_milestone,
        status,
        observed_days,
        observed_days_from_purchase,
        case when status = 'achieved' then observed_days end as days_to_first_value,
        case when status = 'achieved' then observed_days_from_purchase end as days_from_purchase,
        target_days,
        case
            when target_days is null then null
            when observed_days > target_days then false
            when status = 'achieved' then true
        end as is_within_target
    from timed
)

select * from final
