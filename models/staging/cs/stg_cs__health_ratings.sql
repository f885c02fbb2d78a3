-- Grain: account x instant of a manual rating.
{{ staged(
    area='cs',
    table='cs_health_ratings',
    key=['account_id', 'rated_at'],
    happened='rated_at',
    days=['rated_at'],
    lower=['colour'],
    masks=['comment'],
) }}
