-- Grain: account x [valid_from, valid_to): its last health colour; the one place where analyses of work read the health score.
with accounts as (
    select * from {{ ref('int_accounts') }}
),

scores as (
    select * from {{ ref('fct_health_scores') }}
),

starts as (
    select account_id, score_date as valid_from, colour from scores
    union all
    select account_id, {{ beginning() }} as valid_from, 'unknown' as colour from accounts
),

-- with the segment: accounts of one segment and colour are alike, and the engine is to know how many there are
final as (
    select
        starts.account_id,
        accounts.segment,
        starts.colour,
        starts.valid_from,
        coalesce(
            lead(starts.valid_from) over (partition by starts.account_id order by starts.valid_from), {{ far_future() }}
        ) as valid_to
    from starts
    inner join accounts on starts.account_id = accounts.account_id
)

select * from final
