-- Grain: CSM: every member of staff with the role csm, and everyone who ever owned an account as its CSM.
with users as (
    select * from {{ ref('stg_crm__users') }}
),

owners as (
    select distinct csm_user_id from {{ ref('int_account_owners') }}
),

final as (
    select
        users.user_id as csm_user_id,
        users.full_name,
        coalesce(users.team, 'unknown') as team,
        users.manager_user_id,
        users.active_from,
        users.active_to
    from users
    left join owners on users.user_id = owners.csm_user_id
    where users.role = 'csm' or owners.csm_user_id is not null
)

select * from final
