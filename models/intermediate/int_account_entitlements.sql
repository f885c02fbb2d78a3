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

entitled as (
    select distinct holdings.account_id, holdings.month, features_of_plans.feature_key, features_of_plans.is_core
    from holdings
    inner join features_of_plans
        on holdings.plan_id = features_of_plans.plan_id and holdings.month = features_of_plans.month
),

final as (
    select entitled.*, feature_months.feature_key is not null as is_used
    from entitled
    left join feature_months
        on
            entitled.account_id = feature_months.account_id
            and entitled.month = feature_months.month
            and entitled.feature_key = feature_months.feature_key
)

select * from final
