-- Scored account and day whose points lost are not 100 minus its score.
with scores as (
    select * from {{ ref('fct_health_scores') }}
    where score is not null
),

components as (
    select account_id, score_date, sum(points_lost) as points_lost
    from {{ ref('fct_health_components') }}
    group by account_id, score_date
)

select scores.account_id, scores.score_date, scores.score, components.points_lost
from scores
left join components on scores.account_id = components.account_id and scores.score_date = components.score_date
where components.points_lost is null or abs(100 - scores.score - components.points_lost) > 0.000001
