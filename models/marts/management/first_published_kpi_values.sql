-- Grain: KPI cell of a period that is over, as it was first published; carried from night to night (decision log, D112).
with published as (
    select * from {{ source('history', 'first_published_kpi_values') }}
),

current_cells as (
    select * from {{ ref('mart_kpi_values') }}
    where is_complete
),

final as (
    select
        kpi_id,
        period_type,
        period_start,
        segment_type,
        segment_value,
        first_published_value,
        first_published_at,
        first_published_as_of
    from published
    union all
    select
        current_cells.kpi_id,
        current_cells.period_type,
        current_cells.period_start,
        current_cells.segment_type,
        current_cells.segment_value,
        current_cells.value as first_published_value,
        cast('{{ var("published_at") }}' as timestamp) as first_published_at,
        {{ as_of_date() }} as first_published_as_of
    from current_cells
    left join published
        on
            current_cells.kpi_id = published.kpi_id
            and current_cells.period_type = published.period_type
            and current_cells.period_start = published.period_start
            and current_cells.segment_type = published.segment_type
            and current_cells.segment_value = published.segment_value
    where published.kpi_id is null
)

select * from final
