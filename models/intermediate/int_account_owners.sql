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

-- two starts on one local day: the later instant holds at the end of the day
starts as (
    select
        owners.account_id,
        owners.user_id,
        owners.valid_from_on,
        coalesce(owners.valid_to_on, {{ far_future() }}) as valid_to_on,
        row_number() over (
            partition by owners.account_id, owners.valid_from_on order by owners.valid_from desc, owners.user_id desc
        ) as start_rank
    from owners
    -- a merged account's own owners end with it: the survivor's hold
    inner join account_ids on owners.source_account_id = account_ids.source_account_id and not account_ids.is_merged_away
    where owners.valid_to_on is null or owners.valid_to_on > owners.valid_from_on
),

ranges as (
    select
        account_id,
        user_id,
        valid_from_on as valid_from,
        least(
            valid_to_on,
            coalesce(lead(valid_from_on) over (partition by account_id order by valid_from_on), {{ far_future() }})
        ) as valid_to
    from starts
    where start_rank = 1
),

edges as (
    select account_id, valid_from as changed_on, user_id from ranges
    union all
    select ends.account_id, ends.valid_to as changed_on, cast(null as {{ dbt.type_string() }}) as user_id
    from ranges as ends
    left join ranges as followers on ends.account_id = followers.account_id and ends.valid_to = followers.valid_from
    where followers.account_id is null and ends.valid_to < {{ far_future() }}
    union all
    select distinct account_id, {{ beginning() }} as changed_on, cast(null as {{ dbt.type_string() }}) as user_id from account_ids
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
