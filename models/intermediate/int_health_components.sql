-- Grain: customer x day scored tonight x component that has a weight: points by the piecewise-linear rules of the seed.
with customers as (
    select * from {{ ref('int_health_accounts') }}
),

inputs as (
    select * from {{ ref('int_health_inputs') }}
),

weights as (
    select * from {{ ref('health_weights') }}
),

-- the first point stands for what lies below it, the last for what lies above
rules as (
    select
        component,
        raw_value as raw_from,
        lead(raw_value) over (partition by component order by raw_value) as raw_to,
        component_score as score_from,
        lead(component_score) over (partition by component order by raw_value) as score_to,
        case when lag(raw_value) over (partition by component order by raw_value) is not null then raw_value else -1e308 end as applies_from,
        coalesce(lead(raw_value) over (partition by component order by raw_value), 1e308) as applies_to
    from {{ ref('health_component_rules') }}
),

-- the set of weights that names the stage goes before the one that names the segment, and that before the default
weight_sets as (
    select distinct
        segment as set_segment,
        lifecycle_stage as set_stage,
        case when lifecycle_stage = '*' then 2 else 0 end + case when segment = '*' then 1 else 0 end as preference
    from weights
),

chosen as (
    select
        customers.account_id,
        customers.score_date,
        weight_sets.set_segment,
        weight_sets.set_stage,
        row_number() over (partition by customers.account_id, customers.score_date order by weight_sets.preference) as preference_rank
    from customers
    inner join weight_sets
        on
            weight_sets.set_segment in ('*', customers.segment)
            and weight_sets.set_stage in ('*', customers.lifecycle_stage)
),

scored as (
    select
        chosen.account_id,
        chosen.score_date,
        weights.component,
        cast(weights.weight as double) as weight,
        inputs.raw_value,
        inputs.detail,
        inputs.data_as_of,
        case
            when rules.raw_to is null then rules.score_from
            else rules.score_from
                + (greatest(inputs.raw_value, rules.raw_from) - rules.raw_from)
                * (rules.score_to - rules.score_from) / (rules.raw_to - rules.raw_from)
        end as component_score
    from chosen
    inner join weights on chosen.set_segment = weights.segment and chosen.set_stage = weights.lifecycle_stage
    left join inputs
        on
            chosen.account_id = inputs.account_id
            and chosen.score_date = inputs.score_date
            and weights.component = inputs.component
            and inputs.raw_value is not null
    left join rules
        on
            weights.component = rules.component
            and inputs.raw_value >= rules.applies_from
            and inputs.raw_value < rules.applies_to
    where chosen.preference_rank = 1
),

weighed as (
    select
        scored.*,
        case
            when component_score is not null
                then weight / sum(case when component_score is not null then weight end) over (partition by account_id, score_date)
        end as effective_weight
    from scored
),

final as (
    select
        account_id,
        score_date,
        component,
        raw_value,
        detail,
        component_score,
        weight,
        effective_weight,
        effective_weight * (100 - component_score) as points_lost,
        component_score is null as is_missing,
        case when component_score is not null then data_as_of end as data_as_of
    from weighed
)

select * from final
