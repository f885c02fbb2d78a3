-- Grain: account as the CRM knows it, merged and internal ones too (stg_crm__account_ids resolves them).
{{ staged(
    area='crm',
    table='crm_accounts',
    key=['account_id'],
    days=['created_at'],
    upper=['country'],
    account=false,
) }}
