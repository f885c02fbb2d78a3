-- Grain: self-service session.
{{ staged(
    area='support',
    table='support_self_service_sessions',
    key=['session_id'],
    happened='started_at',
    days=['started_at'],
    lower=['channel'],
    contact='contact_id',
) }}
