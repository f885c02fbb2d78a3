-- Grain: piece of feedback that did not come through a survey.
{{ staged(
    area='surveys',
    table='feedback_items',
    key=['feedback_id'],
    happened='collected_at',
    days=['collected_at'],
    lower=['source'],
    masks=['body'],
    contact='contact_id',
) }}
