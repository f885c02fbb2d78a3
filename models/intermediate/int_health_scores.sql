-- Grain: account x snapshot day, published before or scored tonight, without what compares it with earlier days.
with components as (
    select * from {{ ref('int_health_components') }}
),

customers as (
    select * from {{ ref('int_health_accounts') }}
),

ratings as (
    select * from {{ ref('stg_cs__health_ratings') }}
),

ranked as (
    select
        components.*,
        row_number() over (partition by account_id, score_date order by points_lost desc nulls last, component) as driver_rank,
        {{ dbt.concat(['component', "' '", 'detail', "', -'", as_tenths('points_lost')]) }} as driver
    from components
),

summed as (
    select
        account_id,
        score_date,
        -- eight decimals: dust in the tenth must not lift a score above 100
        round({{ exact_sum('effective_weight * component_score') }}, 8) as score_if_known,
        {{ exact_sum('case when not is_missing then weight else 0 end') }} / {{ exact_sum('weight') }} as weight_coverage,
        sum(case when is_missing then 1 else 0 end) as n_components_missing,
        max(case when driver_rank = 1 and points_lost > 0 then component end) as top_driver,
        max(case when driver_rank = 1 and points_lost > 0 then points_lost end) as top_driver_points_lost,
        {%- for rank in [1, 2, 3] %}
        max(case when driver_rank = {{ rank }} and points_lost >= 0.05 then driver end) as driver_{{ rank }}{{ ',' if not loop.last }}
        {%- endfor %}
    from ranked
    group by account_id, score_date
),

rated as (
    select
        customers.account_id,
        customers.score_date,
        ratings.colour,
        -- of ratings in one instant the survivor's own goes before those of accounts merged into it
        row_number() over (
            partition by customers.account_id, customers.score_date
            order by
                ratings.rated_at desc,
                case when ratings.source_account_id = ratings.account_id then 0 else 1 end,
                ratings.source_account_id
        ) as recency
    from customers
    inner join ratings
        on customers.account_id = ratings.account_id and customers.score_date >= ratings.rated_on
),

scored as (
    select summed.*, weight_coverage >= 0.5 as has_score from summed
),

tonight as (
    select
        scored.account_id,
        scored.score_date,
        customers.segment,
        customers.csm_user_id,
        case when scored.has_score then scored.score_if_known end as score,
        case
            when not scored.has_score then 'unknown'
            when scored.score_if_known < 50 then 'red'
            when scored.score_if_known < 75 then 'yellow'
            else 'green'
        end as colour,
        rated.colour as manual_colour,
        scored.weight_coverage,
        cast(scored.n_components_missing as integer) as n_components_missing,
        -- points are lost from a score
        case when scored.has_score then scored.top_driver end as top_driver,
        case when scored.has_score then scored.top_driver_points_lost end as top_driver_points_lost,
        case
            when scored.has_score
                then {{ dbt.concat([
                    'scored.driver_1',
                    "case when scored.driver_2 is not null then '; ' else '' end", "coalesce(scored.driver_2, '')",
                    "case when scored.driver_3 is not null then '; ' else '' end", "coalesce(scored.driver_3, '')",
                ]) }}
        end as drivers_text,
        {{ money('customers.mrr') }} as current_mrr
    from scored
    inner join customers on scored.account_id = customers.account_id and scored.score_date = customers.score_date
    left join rated
        on scored.account_id = rated.account_id and scored.score_date = rated.score_date and rated.recency = 1
),

{%- set columns = [
    'account_id', 'score_date', 'segment', 'csm_user_id', 'score', 'colour', 'manual_colour', 'weight_coverage',
    'n_components_missing', 'top_driver', 'top_driver_points_lost', 'drivers_text', 'current_mrr',
] %}

final as (
    select {{ columns | join(', ') }}, true as is_new from tonight
    union all
    select {{ columns | join(', ') }}, false as is_new from {{ ref('int_health_scores_carried') }}
)

select * from final
