-- Grain: signed contract term.
{{ staged(
    area='billing',
    table='billing_contract_terms',
    key=['term_id'],
    happened_on='term_start',
    account=false,
) }}
