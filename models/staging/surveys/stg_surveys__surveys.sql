-- Grain: survey.
{{ staged(
    area='surveys',
    table='surveys',
    key=['survey_id'],
    lower=['survey_type'],
    account=false,
) }}
