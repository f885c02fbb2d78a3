-- Grain: account; the segment is the plan tier it signed up for.
with accounts as (
    select * from {{ source('ravenstack', 'accounts') }}
),

final as (
    select
        cast(account_id as string) as account_id,
        cast(account_name as string) as account_name,
        cast(null as string) as parent_account_id,
        cast(case plan_tier when 'Basic' then 'smb' when 'Pro' then 'mid_market' when 'Enterprise' then 'enterprise' end as string) as segment,
        cast(industry as string) as industry,
        cast(country as string) as country,
        cast(false as boolean) as is_internal,
        cast(signup_date as timestamp) as created_at,
        cast(null as string) as merged_into_account_id,
        cast(null as timestamp) as merged_at,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from accounts
)

select * from final
