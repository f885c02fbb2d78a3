-- Grain: account x role x start of ownership.
{{ staged(
    area='crm',
    table='crm_account_owners',
    key=['account_id', 'role', 'valid_from'],
    happened='valid_from',
    later=['valid_to'],
    days=['valid_from', 'valid_to'],
    lower=['role'],
) }}
