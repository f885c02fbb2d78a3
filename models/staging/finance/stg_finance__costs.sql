-- Grain: cost line.
{{ staged(
    area='finance',
    table='fin_costs',
    key=['cost_id'],
    happened_on='cost_month',
    lower=['cost_type'],
    upper=['currency'],
) }}
