-- Grain: activity of a customer-success manager.
{{ staged(
    area='cs',
    table='cs_activities',
    key=['activity_id'],
    happened='occurred_at',
    days=['occurred_at'],
    lower=['activity_type', 'direction', 'status'],
    contact='contact_id',
) }}
