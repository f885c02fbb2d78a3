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

split as (
    select
        changes.account_id,
        changes.movement_date,
        changes.movement_type,
        coalesce(subtypes.movement_subtype, changes.movement_type) as movement_subtype,
        case
            when subtypes.share is null or subtypes.share = 1 then changes.amount
            else {{ exact('cast(changes.amount as double) * subtypes.share') }}
        end as amount
    from changes
    left join subtypes
        on changes.account_id = subtypes.account_id and changes.movement_date = subtypes.movement_date
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
