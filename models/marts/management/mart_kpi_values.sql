-- Grain: KPI x period x cut: every kpi_ table in one; the only place where targets, status and trend are joined.
with measured as (
    select * from {{ ref('int_kpi_values') }}
),

catalog as (
    select * from {{ ref('kpi_catalog') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

targeted as (
    select * from {{ ref('int_kpi_targets') }}
),

compared as (
    select
        measured.*,
        catalog.category,
        catalog.is_headline,
        catalog.higher_is_better,
        previous.value as previous_value,
        previous.trend_value as previous_trend_value,
        last_year.value as value_last_year,
        targeted.baseline,
        targeted.target,
        targeted.start_on,
        targeted.due_on,
        targeted.owner,
        case when catalog.higher_is_better then 1 else -1 end as direction
    from measured
    inner join catalog on measured.kpi_id = catalog.kpi_id
    inner join periods on measured.period_type = periods.period_type and measured.period_start = periods.period_start
    left join measured as previous
        on
            measured.kpi_id = previous.kpi_id
            and measured.period_type = previous.period_type
            and periods.previous_period_start = previous.period_start
            and measured.segment_type = previous.segment_type
            and measured.segment_value = previous.segment_value
    left join measured as last_year
        on
            measured.kpi_id = last_year.kpi_id
            and measured.period_type = last_year.period_type
            and periods.period_start_last_year = last_year.period_start
            and measured.segment_type = last_year.segment_type
            and measured.segment_value = last_year.segment_value
    left join targeted
        on
            measured.kpi_id = targeted.kpi_id
            and measured.period_type = targeted.period_type
            and measured.period_start = targeted.period_start
            and measured.segment_type = targeted.segment_type
            and measured.segment_value = targeted.segment_value
),

final as (
    select
        kpi_id,
        category,
        is_headline,
        higher_is_better,
        period_type,
        period_start,
        period_end,
        segment_type,
        segment_value,
        value,
        numerator,
        denominator,
        n,
        ci_low,
        ci_high,
        previous_value,
        value - previous_value as change_abs,
        value_last_year,
        target,
        due_on as target_due,
        owner as target_owner,
        case
            when target is null or not is_complete then null
            when start_on > period_end then 'not_due'
            when value is null or is_suppressed then 'no_data'
            -- a miss of exactly the limit is one, whatever binary fractions make of it
            when round(direction * (value - target), 9) >= 0 then 'met'
            when round(direction * (target - value) - 0.1 * abs(target - baseline), 9) < 0 then 'at_risk'
            else 'missed'
        end as target_status,
        case
            when trend_value is null or previous_trend_value is null then null
            when trend_value = previous_trend_value then 'steady'
            when direction * (trend_value - previous_trend_value) > 0 then 'improving'
            else 'worsening'
        end as trend,
        is_complete,
        is_suppressed,
        is_low_confidence
    from compared
)

select * from final
