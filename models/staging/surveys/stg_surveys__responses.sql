-- Grain: survey invitation, answered or not.
{{ staged(
    area='surveys',
    table='survey_responses',
    key=['response_id'],
    happened='coalesce(sent_at, responded_at)',
    later=['responded_at'],
    days=['sent_at', 'responded_at'],
    lower=['interaction_type', 'channel'],
    masks=['comment'],
    contact='contact_id',
) }}
