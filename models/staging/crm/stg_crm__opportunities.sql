-- Grain: opportunity.
{{ staged(
    area='crm',
    table='crm_opportunities',
    key=['opportunity_id'],
    happened='created_at',
    days=['created_at'],
    lower=['opportunity_type', 'stage'],
    upper=['currency'],
) }}
