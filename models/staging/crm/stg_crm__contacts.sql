-- Grain: contact; those of internal accounts too, so that what hangs on them can be dropped.
{{ staged(
    area='crm',
    table='crm_contacts',
    key=['contact_id'],
    lower=['contact_role'],
    keep_internal=true,
) }}
