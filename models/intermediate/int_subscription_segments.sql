-- Grain: recurring item version with a price x [valid_from, valid_to) with one state (paying or paused), in the subscription's currency.
with pieces as (
    select * from {{ ref('int_subscription_pieces') }}
),

final as (
    select * from pieces
    where mrr + paused_mrr <> 0
)

select * from final
