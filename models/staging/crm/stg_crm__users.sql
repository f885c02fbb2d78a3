-- Grain: member of staff.
{{ staged(
    area='crm',
    table='crm_users',
    key=['user_id'],
    lower=['role'],
    account=false,
) }}
