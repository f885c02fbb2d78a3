-- Grain: KPI cell of a period that is over whose value is not the one first published, and why (decision log, D112).
with published as (
    select * from {{ source('history', 'first_published_kpi_values') }}
),

current_cells as (
    select * from {{ ref('mart_kpi_values') }}
),

periods as (
    select * from {{ ref('int_periods') }}
    where is_complete
),

arrivals as (
    select * from {{ ref('int_late_arrivals') }}
),

kpi_sources as (
    {{- source_rows(sources_of_kpis(), of='kpi_id') }}
),

cut_sources as (
    {{- source_rows(sources_of_cuts(), of='cut') }}
),

restated as (
    select
        published.*,
        periods.period_end,
        {{ deciding_cut('published.segment_type') }} as cut,
        current_cells.value as current_value
    from published
    inner join periods on published.period_type = periods.period_type and published.period_start = periods.period_start
    left join current_cells
        on
            published.kpi_id = current_cells.kpi_id
            and published.period_type = current_cells.period_type
            and published.period_start = current_cells.period_start
            and published.segment_type = current_cells.segment_type
            and published.segment_value = current_cells.segment_value
    where
        case
            when published.first_published_value is null and current_cells.value is null then false
            when published.first_published_value is null or current_cells.value is null then true
            else abs(current_cells.value - published.first_published_value)
                > 1e-9 * greatest(abs(current_cells.value), abs(published.first_published_value))
        end
),

-- few combinations of KPI, cut, period and night: evidence is looked up for these, not for the cells
combinations as (
    select distinct kpi_id, cut, period_end, first_published_at from restated
),

sources as (
    select combinations.*, kpi_sources.source_table
    from combinations
    inner join kpi_sources on combinations.kpi_id = kpi_sources.kpi_id
    union
    select combinations.*, cut_sources.source_table
    from combinations
    inner join cut_sources on combinations.cut = cut_sources.cut
),

evidence as (
    select
        sources.kpi_id,
        sources.cut,
        sources.period_end,
        sources.first_published_at,
        max(case when arrivals.kind = 'merge' then 1 else 0 end) as has_merge,
        max(case when arrivals.kind in ('backdated change', 'other cut') then 1 else 0 end) as has_backdated_change,
        max(case when arrivals.kind = 'late row' then 1 else 0 end) as has_late_row
    from sources
    inner join arrivals
        on
            sources.source_table = arrivals.source_table
            and sources.first_published_at < arrivals.loaded_at
            and sources.period_end >= arrivals.earliest_day
            -- of the totals only those whose weights or fits go by segment change with one
            and (arrivals.kind <> 'other cut' or sources.cut <> 'all' or sources.kpi_id in ({{ kpis_by_segment() }}))
    group by sources.kpi_id, sources.cut, sources.period_end, sources.first_published_at
),

final as (
    select
        restated.kpi_id,
        restated.period_type,
        restated.period_start,
        restated.segment_type,
        restated.segment_value,
        restated.first_published_value,
        restated.first_published_at,
        restated.current_value,
        restated.current_value - restated.first_published_value as difference,
        case
            when evidence.has_merge = 1 then 'merge'
            when evidence.has_backdated_change = 1 then 'backdated change'
            when evidence.has_late_row = 1 then 'late row'
            when
                restated.kpi_id in ('time_to_first_value', 'time_to_value')
                or restated.kpi_id = 'first_contact_resolution_rate'
                and {{ add_days('restated.period_end', var('fcr_reopen_window_days') | int) }} > restated.first_published_as_of
                or restated.kpi_id = 'self_service_rate'
                and {{ add_days('restated.period_end', 2) }} > restated.first_published_as_of
                then 'outcome came later'
            else 'definition change'
        end as cause
    from restated
    left join evidence
        on
            restated.kpi_id = evidence.kpi_id and restated.cut = evidence.cut
            and restated.period_end = evidence.period_end
            and restated.first_published_at = evidence.first_published_at
)

select * from final
