-- Grain: day to be scored tonight: the as-of day, and on a first run every month end before it. A day once published is kept.
with published as (
    select distinct score_date from {{ source('history', 'fct_health_scores') }}
    where score_date <= {{ as_of_date() }}
),

candidates as (
    select {{ as_of_date() }} as score_date
    union
    -- asked of the whole history: its earliest day moves when an account leaves with its scores
    select month_end as score_date from {{ ref('int_months') }}
    where month_end < {{ as_of_date() }} and not exists (select 1 from published)
),

final as (
    select candidates.score_date
    from candidates
    left join published on candidates.score_date = published.score_date
    where published.score_date is null
)

select * from final
