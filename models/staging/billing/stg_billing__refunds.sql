-- Grain: refund, credit note or chargeback.
{{ staged(
    area='billing',
    table='billing_refunds',
    key=['refund_id'],
    happened='refunded_at',
    days=['refunded_at'],
    upper=['currency'],
    account=false,
) }}
