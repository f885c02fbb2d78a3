-- Grain: action.
{{ staged(
    area='cs',
    table='cs_actions',
    key=['action_id'],
    happened='opened_at',
    later=['closed_at'],
    days=['opened_at', 'due_at', 'closed_at'],
    lower=['action_type', 'status'],
) }}
