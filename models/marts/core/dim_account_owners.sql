-- Grain: account x ownership range [valid_from, valid_to), gap-free; valid_to is NULL while it lasts.
with owners as (
    select * from {{ ref('int_account_owners') }}
),

accounts as (
    select account_id from {{ ref('dim_accounts') }}
),

final as (
    select
        owners.account_id,
        owners.csm_user_id,
        owners.team,
        owners.valid_from,
        case when owners.valid_to < {{ far_future() }} then owners.valid_to end as valid_to
    from owners
    inner join accounts on owners.account_id = accounts.account_id
)

select * from final
