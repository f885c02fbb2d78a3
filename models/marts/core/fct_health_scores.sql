-- Grain: account x snapshot day; appended, never recomputed (a day published before is taken over as it was).
with scores as (
    select * from {{ ref('int_health_scores') }}
),

carried as (
    select * from {{ ref('int_health_scores_carried') }}
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

-- the latest score that is at least 30 days older: a day without a score is none
compared as (
    select
        scores.account_id,
        scores.score_date,
        earlier.score as previous_score,
        earlier.colour as previous_colour,
        row_number() over (partition by scores.account_id, scores.score_date order by earlier.score_date desc) as recency
    from scores
    left join scores as earlier
        on
            scores.account_id = earlier.account_id
            and {{ add_days('scores.score_date', -30) }} >= earlier.score_date
            and earlier.score is not null
    where scores.is_new
),

tonight as (
    select
        scores.*,
        coalesce(scores.manual_colour <> scores.colour and scores.colour <> 'unknown', false) as is_manual_disagreement,
        compared.previous_score,
        scores.score - compared.previous_score as score_change,
        coalesce(round(scores.score - compared.previous_score, 8) <= -10, false) as is_drop_alert,
        coalesce(scores.colour = 'red' and compared.previous_colour in ('yellow', 'green'), false) as is_turned_red
    from scores
    inner join compared
        on scores.account_id = compared.account_id and scores.score_date = compared.score_date and compared.recency = 1
),

{%- set columns = [
    'account_id', 'score_date', 'segment', 'csm_user_id', 'score', 'colour', 'manual_colour', 'is_manual_disagreement',
    'weight_coverage', 'n_components_missing', 'top_driver', 'top_driver_points_lost', 'drivers_text', 'previous_score',
    'score_change', 'is_drop_alert', 'is_turned_red', 'current_mrr',
] %}

combined as (
    select {{ columns | join(', ') }} from tonight
    union all
    select {{ columns | join(', ') }} from carried
),

final as (
    select
        combined.account_id,
        accounts.account_name,
        {% for column in columns[1:] %}combined.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
    from combined
    inner join accounts on combined.account_id = accounts.account_id
)

select * from final
