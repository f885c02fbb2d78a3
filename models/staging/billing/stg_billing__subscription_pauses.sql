-- Grain: pause of a subscription.
{{ staged(
    area='billing',
    table='billing_subscription_pauses',
    key=['pause_id'],
    happened='paused_from',
    later=['paused_until'],
    days=['paused_from', 'paused_until'],
    account=false,
) }}
