-- Grain: priced version of a subscription item.
{{ staged(
    area='billing',
    table='billing_subscription_items',
    key=['item_version_id'],
    happened='effective_from',
    later=['effective_to'],
    days=['effective_from', 'effective_to'],
    lower=['billing_interval'],
    account=false,
) }}
