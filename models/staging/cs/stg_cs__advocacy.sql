-- Grain: advocacy activity.
{{ staged(
    area='cs',
    table='cs_advocacy',
    key=['advocacy_id'],
    happened='coalesce(requested_at, completed_at)',
    later=['completed_at'],
    days=['requested_at', 'completed_at'],
    lower=['advocacy_type', 'status'],
    contact='contact_id',
) }}
