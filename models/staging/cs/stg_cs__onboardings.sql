-- Grain: onboarding.
{{ staged(
    area='cs',
    table='cs_onboardings',
    key=['onboarding_id'],
    happened='started_at',
    later=['purchased_at', 'completed_at', 'first_value_at', 'cancelled_at'],
    days=['purchased_at', 'started_at', 'completed_at', 'first_value_at', 'cancelled_at'],
) }}
