-- Grain: period x segment_type x segment_value that exists: a cell without facts still has its row, with n = 0.
with periods as (
    select * from {{ ref('int_periods') }}
),

cuts as (
    select * from {{ ref('int_account_cuts') }}
),

-- few distinct combinations a period: cells are read off these, not off the accounts
combinations as (
    select distinct
        periods.period_type,
        periods.period_start,
        {%- for cut in cut_columns() %}
        cuts.{{ cut }}{{ ',' if not loop.last }}
        {%- endfor %}
    from periods
    inner join cuts on cuts.valid_from <= periods.closing_date and cuts.valid_to > periods.period_start
),

final as (
    select period_type, period_start, 'all' as segment_type, 'all' as segment_value from periods
    {%- for cut in cut_columns() %}
    union
    select period_type, period_start, '{{ cut }}' as segment_type, {{ cut }} as segment_value from combinations
    {%- endfor %}
)

select * from final
