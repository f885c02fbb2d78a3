-- Grain: day x currency pair.
{{ staged(
    area='finance',
    table='fin_exchange_rates',
    key=['rate_date', 'from_currency', 'to_currency'],
    happened_on='rate_date',
    upper=['from_currency', 'to_currency'],
    account=false,
) }}
