-- Grain: survey: one, asked after every ticket.
with final as (
    select
        cast('ravenstack_csat' as string) as survey_id,
        cast('csat' as string) as survey_type,
        cast('Ticket satisfaction' as string) as survey_name,
        cast(1 as integer) as scale_min,
        cast(5 as integer) as scale_max,
        cast(true as boolean) as higher_is_better,
        cast(4 as integer) as positive_threshold,
        cast('2025-01-01' as timestamp) as _loaded_at,
        false as _deleted
    from (select 1 as one) as only_row
)

select * from final
