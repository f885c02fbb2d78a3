-- Grain: id by which any source may name an account. The one place where links, merges and internal accounts are resolved.
with accounts as (
    select * from {{ ref('stg_crm__accounts') }}
),

links as (
    select * from {{ ref('stg_crm__account_links') }}
),

merges as (
    select
        account_id as start_id,
        -- a merge that is dated after the as-of day has not happened yet
        case when merged_at is null or {{ is_known('merged_at') }} then merged_into_account_id end as next_id
    from accounts
),

{{ follow('survivors', 'merges') }},

named as (
    select account_id as source_account_id, account_id as named_account_id from accounts
    union all
    select source_account_id, account_id from links
    where source_account_id not in (select account_id from accounts)
),

merged as (
    select named.*, coalesce(survivors.end_id, named.named_account_id) as account_id
    from named
    left join survivors on named.named_account_id = survivors.start_id
),

-- an id that names different accounts in different systems names none, unless they have merged since
unambiguous as (
    select
        source_account_id,
        min(account_id) as account_id,
        min(case when named_account_id = account_id then 0 else 1 end) = 1 as is_merged_away
    from merged
    group by source_account_id
    having count(distinct account_id) = 1
),

final as (
    select
        unambiguous.source_account_id,
        unambiguous.account_id,
        unambiguous.is_merged_away,
        accounts.is_internal
    from unambiguous
    inner join accounts on unambiguous.account_id = accounts.account_id
)

select * from final
