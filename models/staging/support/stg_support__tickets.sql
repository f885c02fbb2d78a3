-- Grain: ticket.
{{ staged(
    area='support',
    table='support_tickets',
    key=['ticket_id'],
    happened='created_at',
    days=['created_at'],
    lower=['channel', 'priority', 'status'],
    contact='requester_contact_id',
) }}
