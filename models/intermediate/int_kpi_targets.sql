-- Grain: KPI x period x cut that has a target: the one in force started last; before the first one starts it is not due.
with measured as (
    select * from {{ ref('int_kpi_values') }}
),

targets as (
    select * from {{ ref('kpi_targets') }}
),

ranked as (
    select
        measured.kpi_id,
        measured.period_type,
        measured.period_start,
        measured.segment_type,
        measured.segment_value,
        targets.baseline,
        targets.target,
        targets.start_on,
        targets.due_on,
        targets.owner,
        row_number() over (
            partition by
                measured.kpi_id, measured.period_type, measured.period_start, measured.segment_type, measured.segment_value
            order by
                case when targets.start_on <= measured.period_end then targets.start_on end desc nulls last,
                targets.start_on
        ) as target_rank
    from measured
    inner join targets
        on
            measured.kpi_id = targets.kpi_id
            and measured.period_type = targets.period_type
            and measured.segment_type = targets.segment_type
            and measured.segment_value = targets.segment_value
),

final as (
    select * from ranked
    where target_rank = 1
)

select * from final
