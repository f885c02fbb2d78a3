-- Grain: paying account x month x feature it is entitled to at the end (or as_of), and whether it used it in the month.
with holdings as (
    select * from {{ ref('int_plan_holdings') }}
),

plan_features as (
    select * from {{ ref('int_plan_features') }}
),

feature_months as (
    select * from {{ ref('int_account_feature_months') }}
    where n_events >= {{ var('adoption_min_events') | int }}
),

-- few plans and days: entitlement is settled per plan before it meets the accounts
plan_days as (
    select distinct plan_id, month, closing_date from holdings
),

features_of_plans as (
    select plan_days.plan_id, plan_days.month, plan_features.feature_key, plan_features.is_core
    from plan_days
    inner join plan_features
        on
            plan_days.plan_id = plan_features.plan_id
            and plan_days.closing_date >= plan_features.valid_from
            and plan_days.closing_date < plan_features.valid_to
),

-- grouped once, not made distinct and joined: so the engine can spill all of it
entitled_or_used as (
    select
        holdings.account_id,
        holdings.month,
        features_of_plans.feature_key,
        1 as is_entitled,
        case when features_of_plans.is_core then 1 else 0 end as is_core,
        0 as is_used
    from holdings
    inner join features_of_plans
        on holdings.plan_id = features_of_plans.plan_id and holdings.month = features_of_plans.month
    union all
    select account_id, month, feature_key, 0 as is_entitled, 0 as is_core, 1 as is_used
    from feature_months
),

final as (
    select account_id, month, feature_key, max(is_core) = 1 as is_core, max(is_used) = 1 as is_used
    from entitled_or_used
    group by account_id, month, feature_key
    having max(is_entitled) = 1
)

select * from final
