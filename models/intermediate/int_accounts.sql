-- Grain: account as published: survivors of merges only, internal ones excluded, missing cut values named (decision log, D17).
with accounts as (
    select * from {{ ref('stg_crm__accounts') }}
),

account_ids as (
    select * from {{ ref('stg_crm__account_ids') }}
    where not is_internal
),

segment_map as (
    select * from {{ ref('segment_map') }}
),

-- industries that differ in case only are one, spelt as most accounts spell it
industries as (
    select
        lower(industry) as any_case,
        industry,
        row_number() over (partition by lower(industry) order by count(*) desc, industry) as place
    from accounts
    where industry is not null
    group by industry
),

-- a parent that was merged into its child is none
parents as (
    select accounts.account_id as start_id, nullif(parent_ids.account_id, accounts.account_id) as next_id
    from accounts
    left join account_ids as parent_ids on accounts.parent_account_id = parent_ids.source_account_id
),

{{ follow('families', 'parents') }},

final as (
    select
        accounts.account_id,
        accounts.account_name,
        parents.next_id as parent_account_id,
        families.end_id as ultimate_parent_id,
        coalesce(segment_map.segment, accounts.segment, 'unsegmented') as segment,
        coalesce(industries.industry, 'unknown') as industry,
        coalesce(accounts.country, 'unknown') as country,
        accounts.created_on
    from accounts
    inner join account_ids
        on accounts.account_id = account_ids.source_account_id and not account_ids.is_merged_away
    inner join parents on accounts.account_id = parents.start_id
    inner join families on accounts.account_id = families.start_id
    left join industries on lower(accounts.industry) = industries.any_case and industries.place = 1
    left join segment_map on lower(accounts.segment) = segment_map.raw_segment
)

select * from final
