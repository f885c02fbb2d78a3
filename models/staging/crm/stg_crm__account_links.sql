-- Grain: source system x that system's account id.
{{ staged(
    area='crm',
    table='crm_account_links',
    key=['source_system', 'source_account_id'],
    account=false,
) }}
