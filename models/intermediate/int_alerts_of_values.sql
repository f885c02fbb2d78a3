-- Grain: alert rule x KPI x cut whose value of the last complete period crossed the rule's limit (decision log, D108).
with last_complete as (
    select period_type, max(period_start) as period_start
    from {{ ref('int_periods') }}
    where is_complete
    group by period_type
),

rules as (
    select * from {{ ref('alert_rules') }}
),

catalog as (
    select * from {{ ref('kpi_catalog') }}
),

-- a suppressed month keeps its place among the 12 before
measured as (
    select
        kpi_values.*,
        {%- set shown = 'case when not is_suppressed then value end' %}
        {%- set window = 'partition by kpi_id, period_type, segment_type, segment_value order by period_start'
            ~ ' rows between 12 preceding and 1 preceding' %}
        avg({{ shown }}) over ({{ window }}) as mean_12,
        stddev_samp({{ shown }}) over ({{ window }}) as deviation_12,
        count({{ shown }}) over ({{ window }}) as n_12
    from {{ ref('mart_kpi_values') }} as kpi_values
    where is_complete and (segment_type in ('all', 'segment') or target is not null)
),

judged as (
    select measured.*, catalog.unit
    from measured
    inner join last_complete
        on measured.period_type = last_complete.period_type and measured.period_start = last_complete.period_start
    inner join catalog on measured.kpi_id = catalog.kpi_id
    where not measured.is_suppressed
),

-- which limit a rule holds a value against
limited as (
    select
        rules.alert_type,
        judged.*,
        case rules.alert_type
            when 'churn_above_target' then judged.target
            when 'target_missed' then judged.target
            when 'churn_above_band' then judged.mean_12 + rules.threshold * judged.deviation_12
            else rules.threshold
        end as limit_value,
        case
            when rules.alert_type in ('ease_index_drop', 'fcr_drop') then judged.change_abs
            when rules.alert_type = 'adoption_drop' then {{ ratio('judged.change_abs', 'judged.previous_value') }}
            else judged.value
        end as judged_value
    from judged
    inner join rules
        on
            judged.period_type = rules.period_type
            and (judged.kpi_id = rules.kpi_id or rules.alert_type = 'target_missed' and judged.is_headline)
            and rules.alert_type in (
                'churn_above_target', 'churn_above_band', 'ease_index_drop', 'fcr_drop', 'adoption_drop', 'target_missed'
            )
),

final as (
    select
        alert_type,
        kpi_id,
        {{ dbt.concat(['segment_type', "'/'", 'segment_value']) }} as subject_id,
        segment_type,
        segment_value,
        period_start,
        judged_value as value,
        previous_value as previous,
        limit_value as threshold,
        case
            when unit = 'score' then 'points'
            -- how far a rate fell, not by which part of itself
            when alert_type = 'fcr_drop' then 'percentage points'
            else unit
        end as unit
    from limited
    where
        case
            when alert_type = 'target_missed' then target_status = 'missed'
            -- churn at exactly its limit is not above it, a fall of exactly the limit counts, whatever binary fractions make of them
            when alert_type = 'churn_above_target' then target_status <> 'not_due' and round(judged_value - limit_value, 9) > 0
            when alert_type = 'churn_above_band' then n_12 = 12 and round(judged_value - limit_value, 9) > 0
            else round(judged_value, 9) <= limit_value
        end
        and (alert_type in ('target_missed', 'churn_above_target') or segment_type in ('all', 'segment'))
)

select * from final
