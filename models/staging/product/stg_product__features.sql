-- Grain: product feature.
{{ staged(
    area='product',
    table='product_features',
    key=['feature_key'],
    account=false,
) }}
