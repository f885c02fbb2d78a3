-- Grain: subscription.
{{ staged(
    area='billing',
    table='billing_subscriptions',
    key=['subscription_id'],
    happened='started_at',
    later=['cancel_requested_at', 'ended_at'],
    days=['started_at', 'trial_start', 'trial_end', 'cancel_requested_at', 'ended_at'],
    lower=['status', 'cancel_type'],
    upper=['currency'],
) }}
