-- Grain: contract term that began: what was known of its account's health and care before it came due (decision log, D100).
with renewals as (
    select * from {{ ref('int_renewals') }}
),

scores as (
    select * from {{ ref('int_health_scores') }}
),

touches as (
    select * from {{ ref('int_activities_weighed') }}
    where is_touchpoint
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

scored as (
    select
        renewals.term_id,
        scores.colour,
        scores.score,
        scores.top_driver,
        row_number() over (partition by renewals.term_id order by scores.score_date desc) as recency
    from renewals
    inner join scores on renewals.account_id = scores.account_id and scores.score_date < renewals.due_date
),

early as (
    select
        renewals.term_id,
        scores.colour,
        row_number() over (partition by renewals.term_id order by scores.score_date desc) as recency
    from renewals
    inner join scores
        on renewals.account_id = scores.account_id and {{ add_days('renewals.due_date', -90) }} >= scores.score_date
),

touched as (
    select renewals.term_id, max(touches.occurred_on) as last_touch_on
    from renewals
    inner join touches on renewals.account_id = touches.account_id and renewals.cut_date >= touches.occurred_on
    group by renewals.term_id
),

final as (
    select
        renewals.term_id,
        renewals.account_id,
        accounts.segment,
        renewals.due_date,
        renewals.cut_date,
        renewals.outcome,
        renewals.is_renewed,
        renewals.renewable_arr,
        renewals.renewed_arr_capped,
        scored.colour as health_colour,
        scored.score as health_score,
        scored.top_driver,
        early.colour as colour_90d_before,
        cast({{ days_between('touched.last_touch_on', 'renewals.cut_date') }} as integer) as days_since_last_touch
    from renewals
    inner join accounts on renewals.account_id = accounts.account_id
    left join scored on renewals.term_id = scored.term_id and scored.recency = 1
    left join early on renewals.term_id = early.term_id and early.recency = 1
    left join touched on renewals.term_id = touched.term_id
)

select * from final
