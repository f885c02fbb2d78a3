-- Grain: paying account x month x feature it is entitled to at the end (or as_of), and whether it used it in the month.
with holdings as (
    select * from {{ ref('int_plan_holdings') }}
),

plan_features as (
    select * from {{ ref('stg_product__plan_features') }}
),

features as (
    select * from {{ ref('stg_product__features') }}
),

feature_months as (
    select * from {{ ref('int_account_feature_months') }}
    where n_events >= {{ var('adoption_min_events') | int }}
),

-- few plans and days: entitlement is settled per plan before it meets the accounts
plan_days as (
    select distinct plan_id, month, closing_date from holdings
),

on_the_market as (
    select distinct plan_days.plan_id, plan_days.month, plan_features.feature_key, features.is_core
    from plan_days
    inner join plan_features
        on
            plan_days.plan_id = plan_features.plan_id
            and plan_days.closing_date >= plan_features.valid_from
            and plan_days.closing_date < coalesce(plan_features.valid_to, {{ far_future() }})
    inner join features
        on
            plan_features.feature_key = features.feature_key
            and plan_days.closing_date >= features.released_on
            and plan_days.closing_date < coalesce(features.retired_on, {{ far_future() }})
),

entitled as (
    select distinct holdings.account_id, holdings.month, on_the_market.feature_key, on_the_market.is_core
    from holdings
    inner join on_the_market on holdings.plan_id = on_the_market.plan_id and holdings.month = on_the_market.month
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
