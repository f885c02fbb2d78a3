-- Grain: account x day x movement_type x movement_subtype, unrounded; fx on the last counted day of its month.
with changes as (
    select * from {{ ref('int_mrr_changes') }}
    where movement_type is not null
),

subtypes as (
    select * from {{ ref('int_movement_subtypes') }}
),

months as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month' and opening_state = 'paying' and closing_state = 'paying'
),

shared as (
    select
        changes.*,
        coalesce(subtypes.movement_subtype, changes.movement_type) as movement_subtype,
        {{ exact('cast(changes.amount as double) * coalesce(subtypes.share, 1)') }} as part
    from changes
    left join subtypes
        on changes.account_id = subtypes.account_id and changes.movement_date = subtypes.movement_date
),

split as (
    select
        account_id,
        movement_date,
        movement_type,
        movement_subtype,
        -- the last takes what the others leave, so that all of them are the change to its last decimal
        case
            when lead(part) over (partition by account_id, movement_date order by movement_subtype) is not null then part
            else {{ exact('amount - (sum(part) over (partition by account_id, movement_date) - part)') }}
        end as amount
    from shared
),

final as (
    select * from split
    union all
    select
        account_id,
        closing_date as movement_date,
        'fx' as movement_type,
        'fx' as movement_subtype,
        closing_mrr - closing_mrr_at_opening_rates as amount
    from months
    where closing_mrr <> closing_mrr_at_opening_rates
)

select * from final
