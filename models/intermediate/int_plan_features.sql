-- Grain: plan x feature x [valid_from, valid_to) in which the plan entitles to the feature and the feature is on the market.
with plan_features as (
    select * from {{ ref('stg_product__plan_features') }}
),

features as (
    select * from {{ ref('stg_product__features') }}
),

spans as (
    select
        plan_features.plan_id,
        plan_features.feature_key,
        features.is_core,
        greatest(plan_features.valid_from, features.released_on) as valid_from,
        least(
            coalesce(plan_features.valid_to, {{ far_future() }}), coalesce(features.retired_on, {{ far_future() }})
        ) as valid_to
    from plan_features
    inner join features on plan_features.feature_key = features.feature_key
),

final as (
    select * from spans
    where valid_from < valid_to
)

select * from final
