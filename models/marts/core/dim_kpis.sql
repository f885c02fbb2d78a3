-- Grain: KPI: the catalogue.
with catalog as (
    select * from {{ ref('kpi_catalog') }}
),

final as (
    select
        kpi_id,
        kpi_name,
        category,
        unit,
        higher_is_better,
        formula,
        objective,
        owner,
        is_headline,
        review_by,
        headline_rank
    from catalog
)

select * from final
