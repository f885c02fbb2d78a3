-- Grain: account x [valid_from, valid_to) with one CSM; gap-free from the beginning, 'unassigned' fills gaps (decision log, D19).
with owners as (
    select * from {{ ref('stg_crm__account_owners') }}
    where role = 'csm'
),

account_ids as (
    select * from {{ ref('stg_crm__account_ids') }}
    where not is_internal
),

users as (
    select * from {{ ref('stg_crm__users') }}
),

starts as (
    select
        owners.account_id,
        owners.user_id,
        owners.valid_from_on,
        owners.valid_from,
        coalesce(owners.valid_to_on, {{ far_future() }}) as valid_to_on
    from owners
    -- a merged account's own owners end with it: the survivor's hold
    inner join account_ids on owners.source_account_id = account_ids.source_account_id and not account_ids.is_merged_away
    where owners.valid_to_on is null or owners.valid_to_on > owners.valid_from_on
),

days as (
    select account_id, {{ beginning() }} as changed_on from account_ids
    union
    select account_id, valid_from_on from starts
    union
    select account_id, valid_to_on from starts where valid_to_on < {{ far_future() }}
),

-- of overlapping ranges the one that started last holds; when it ends, an older one that still runs holds again
held as (
    select
        days.account_id,
        days.changed_on,
        starts.user_id,
        row_number() over (
            partition by days.account_id, days.changed_on order by starts.valid_from desc nulls last, starts.user_id desc
        ) as start_recency
    from days
    left join starts
        on
            days.account_id = starts.account_id
            and days.changed_on >= starts.valid_from_on
            and days.changed_on < starts.valid_to_on
),

edges as (
    select * from held
    where start_recency = 1
),

final as (
    select
        edges.account_id,
        coalesce(edges.user_id, 'unassigned') as csm_user_id,
        case when edges.user_id is null then 'unassigned' else coalesce(users.team, 'unknown') end as team,
        edges.changed_on as valid_from,
        coalesce(
            lead(edges.changed_on) over (partition by edges.account_id order by edges.changed_on), {{ far_future() }}
        ) as valid_to
    from edges
    left join users on edges.user_id = users.user_id
)

select * from final
