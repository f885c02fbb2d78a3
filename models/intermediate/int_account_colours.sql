-- Grain: account x [valid_from, valid_to): its last health colour; the one place where analyses of work read the health score.
with scores as (
    select * from {{ ref('fct_health_scores') }}
),

final as (
    select
        account_id,
        score_date as valid_from,
        coalesce(lead(score_date) over (partition by account_id order by score_date), {{ far_future() }}) as valid_to,
        colour
    from scores
)

select * from final
