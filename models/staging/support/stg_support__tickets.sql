-- Grain: ticket; those that one of us asked for a customer too, since they are counted as excluded (decision log, D42).
{{ staged(
    area='support',
    table='support_tickets',
    key=['ticket_id'],
    happened='created_at',
    days=['created_at'],
    lower=['channel', 'priority', 'status'],
    contact='requester_contact_id',
    keep_internal_contacts=true,
) }}
