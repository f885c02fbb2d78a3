-- Grain: ticket event.
{{ staged(
    area='support',
    table='support_ticket_events',
    key=['event_id'],
    happened='occurred_at',
    days=['occurred_at'],
    lower=['event_type', 'actor_type'],
    account=false,
) }}
