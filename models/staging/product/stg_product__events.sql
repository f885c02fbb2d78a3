-- Grain: product event.
{{ staged(
    area='product',
    table='product_events',
    key=['event_id'],
    happened='occurred_at',
    days=['occurred_at'],
) }}
