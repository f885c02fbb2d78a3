-- Grain: plan x feature x start of entitlement.
{{ staged(
    area='product',
    table='product_plan_features',
    key=['plan_id', 'feature_key', 'valid_from'],
    account=false,
) }}
