-- Grain: account x day x movement_type x movement_subtype; amount signed, rounded to the cent.
with movements as (
    select * from {{ ref('int_mrr_movements') }}
),

cuts as (
    select * from {{ ref('int_account_cuts') }}
),

reasons as (
    select * from {{ ref('int_churn_reasons') }}
),

final as (
    select
        movements.account_id,
        movements.movement_date,
        movements.movement_type,
        movements.movement_subtype,
        {{ money('movements.amount') }} as amount,
        cuts.csm as csm_user_id,
        cuts.team,
        cuts.segment,
        reasons.cancel_reason,
        reasons.cancel_type
    from movements
    inner join cuts
        on
            movements.account_id = cuts.account_id
            and movements.movement_date >= cuts.valid_from
            and movements.movement_date < cuts.valid_to
    left join reasons
        on
            case when movements.movement_type = 'churn' then movements.account_id end = reasons.account_id
            and movements.movement_date = reasons.movement_date
)

select * from final
