-- Grain: invoice.
{{ staged(
    area='billing',
    table='billing_invoices',
    key=['invoice_id'],
    happened='issued_at',
    later=['paid_at'],
    before={'status': ['paid_at', 'open']},
    days=['issued_at', 'paid_at'],
    lower=['status'],
    upper=['currency'],
) }}
