-- Grain: paying account x signal, as of the run (decision log, D110).
with overviews as (
    select * from {{ ref('int_account_overviews') }}
    where is_paying and cancel_requested_on is null
),

complete_months as (
    select max(period_start) as month from {{ ref('int_periods') }} where period_type = 'month' and is_complete
),

adoption as (
    select adoption_months.*
    from {{ ref('fct_account_adoption_months') }} as adoption_months
    inner join complete_months on adoption_months.month = complete_months.month
),

-- who did not pay at the month's end (a trial, a pause) had no plan to be outside of
used as (
    select feature_months.account_id, feature_months.feature_key
    from {{ ref('int_account_feature_months') }} as feature_months
    inner join adoption on feature_months.account_id = adoption.account_id and feature_months.month = adoption.month
    where feature_months.n_events >= {{ var('adoption_min_events') | int }}
),

entitled as (
    select entitlements.account_id, entitlements.feature_key
    from {{ ref('int_account_entitlements') }} as entitlements
    inner join complete_months on entitlements.month = complete_months.month
),

-- what is off the market can't be sold
features as (
    select * from {{ ref('stg_product__features') }}
    where released_on <= {{ as_of_date() }} and (retired_on is null or retired_on > {{ as_of_date() }})
),

expansions as (
    select * from {{ ref('fct_mrr_movements') }}
    where movement_type = 'expansion'
),

last_expansions as (
    select account_id, max(movement_date) as last_expansion_on from expansions group by account_id
),

-- what an expansion in the segment used to bring in the last year
usual as (
    select segment, median(cast(amount as double)) as usual_mrr
    from expansions
    where movement_date > {{ add_months(as_of_date(), -12) }}
    group by segment
),

outside as (
    select used.account_id, {{ joined_text('features.feature_name') }} as feature_names
    from used
    inner join features on used.feature_key = features.feature_key
    left join entitled on used.account_id = entitled.account_id and used.feature_key = entitled.feature_key
    where entitled.account_id is null
    group by used.account_id
),

signals as (
    select
        adoption.account_id,
        'seats_nearly_full' as signal,
        {{ dbt.concat([as_count('adoption.active_users'), "' of '", as_count('adoption.seats'), "' seats used'"]) }} as detail,
        -- a tenth more seats, or those used beyond what was bought, at the price paid now
        cast(overviews.mrr as double) / adoption.seats
        * greatest(0.1 * adoption.seats, adoption.active_users - adoption.seats) as potential_mrr
    from adoption
    inner join overviews on adoption.account_id = overviews.account_id
    where adoption.seats > 0 and adoption.seat_adoption_rate >= 0.9
    union all
    select
        outside.account_id,
        'feature_outside_plan' as signal,
        {{ dbt.concat(["'uses '", 'outside.feature_names', "' outside its plan'"]) }} as detail,
        usual.usual_mrr as potential_mrr
    from outside
    inner join overviews on outside.account_id = overviews.account_id
    left join usual on overviews.segment = usual.segment
    union all
    select
        adoption.account_id,
        'ready_for_more' as signal,
        {{ dbt.concat([
            as_tenths('100 * adoption.adoption_rate'), "' % adopted, green, no expansion since '",
            as_text('coalesce(last_expansions.last_expansion_on, overviews.customer_since)'),
        ]) }} as detail,
        usual.usual_mrr as potential_mrr
    from adoption
    inner join overviews on adoption.account_id = overviews.account_id
    left join last_expansions on adoption.account_id = last_expansions.account_id
    left join usual on overviews.segment = usual.segment
    where
        adoption.adoption_rate >= 0.8
        and overviews.health_colour = 'green'
        and coalesce(last_expansions.last_expansion_on, overviews.customer_since) <= {{ add_months(as_of_date(), -9) }}
),

final as (
    select
        signals.account_id,
        {{ as_of_date() }} as as_of,
        overviews.csm_user_id,
        signals.signal,
        signals.detail,
        {{ money('overviews.mrr') }} as current_mrr,
        {{ money('signals.potential_mrr') }} as potential_mrr,
        overviews.health_colour
    from signals
    inner join overviews on signals.account_id = overviews.account_id
)

select * from final
