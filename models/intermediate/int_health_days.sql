-- Grain: day to be scored tonight: the as-of day, and on a first run every month end before it. A day once published is kept.
with published as (
    select distinct score_date from {{ source('history', 'fct_health_scores') }}
),

first_published as (
    select min(score_date) as first_date from published
),

candidates as (
    select {{ as_of_date() }} as score_date
    union
    select months.month_end as score_date
    from {{ ref('int_months') }} as months
    cross join first_published
    where months.month_end < coalesce(first_published.first_date, {{ as_of_date() }})
),

final as (
    select candidates.score_date
    from candidates
    left join published on candidates.score_date = published.score_date
    where published.score_date is null
)

select * from final
