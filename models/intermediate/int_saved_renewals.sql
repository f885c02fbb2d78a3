-- Grain: term that came due after its account had been red 90 days before: what was renewed beyond what red used to (decision log, D104).
with red_terms as (
    select * from {{ ref('int_renewal_healths') }}
    where colour_90d_before = 'red' and outcome <> 'upcoming'
),

quarters as (
    select * from {{ ref('int_periods') }}
    where period_type = 'quarter'
),

history as (
    select quarters.period_start, count(*) as n_terms, count(case when red_terms.is_renewed then 1 end) as n_renewed
    from quarters
    inner join red_terms on red_terms.due_date < quarters.period_start
    group by quarters.period_start
),

final as (
    select
        quarters.period_type,
        quarters.period_start,
        red_terms.term_id,
        red_terms.account_id,
        red_terms.due_date,
        -- without a history there is nothing that could be beaten
        {{ exact(
            'case when history.n_terms > 0 then cast(red_terms.renewed_arr_capped as double)'
            ~ ' - cast(red_terms.renewable_arr as double) * history.n_renewed / history.n_terms else 0 end'
        ) }} as saved_arr
    from quarters
    inner join red_terms on red_terms.due_date >= quarters.period_start and red_terms.due_date <= quarters.closing_date
    left join history on quarters.period_start = history.period_start
)

select * from final
