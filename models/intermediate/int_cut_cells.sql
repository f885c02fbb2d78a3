-- Grain: period x segment_type x segment_value that exists: a cell without facts still has its row, with n = 0.
with periods as (
    select * from {{ ref('int_periods') }}
),

cuts as (
    select
        {%- for cut in cut_columns() %}
        {{ cut }} as cut_{{ cut }},
        {%- endfor %}
        {{ month_of('valid_from') }} as first_month,
        {{ month_of(add_days('valid_to', -1)) }} as last_month
    from {{ ref('int_account_cuts') }}
),

-- few spans of months, however many accounts: periods are whole months
spans as (
    select
        {{- cut_of_grouping(cut_columns()) }}
        first_month,
        last_month
    from cuts
    {{ group_by_cut(['first_month', 'last_month'], cut_columns()) }}
),

final as (
    select period_type, period_start, 'all' as segment_type, 'all' as segment_value from periods
    union
    select periods.period_type, periods.period_start, spans.segment_type, spans.segment_value
    from spans
    inner join periods on spans.first_month <= periods.closing_date and spans.last_month >= periods.period_start
)

select * from final
