-- Grain: feature; released when it was first used.
with usage_rows as (
    select * from {{ source('ravenstack', 'feature_usage') }}
),

features as (
    select feature_name, min(usage_date) as first_used_on, max(case when is_beta_feature then 0 else 1 end) = 1 as was_ever_general
    from usage_rows
    group by feature_name
),

final as (
    select
        cast(feature_name as string) as feature_key,
        cast(feature_name as string) as feature_name,
        cast(was_ever_general as boolean) as is_core,
        cast(first_used_on as date) as released_on,
        cast(null as date) as retired_on,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from features
)

select * from final
