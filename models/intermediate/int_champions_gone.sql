-- Grain: account that had a champion among its contacts and has none any more (decision log, D107).
-- versions that staging has done away with are what this is about
with landed_contacts as (
    {{ landed_rows('crm', 'crm_contacts') }}
),

account_ids as (
    select * from {{ ref('stg_crm__account_ids') }}
    where not is_internal
),

contacts as (
    select * from {{ ref('stg_crm__contacts') }}
),

had as (
    select distinct account_ids.account_id
    from landed_contacts
    inner join account_ids on {{ tidied('landed_contacts.account_id') }} = account_ids.source_account_id
    where lower({{ tidied('landed_contacts.contact_role') }}) = 'champion'
),

have as (
    select distinct account_id from contacts
    where contact_role = 'champion'
),

final as (
    select had.account_id
    from had
    left join have on had.account_id = have.account_id
    where have.account_id is null
)

select * from final
