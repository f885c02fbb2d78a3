-- Grain: day, from the first month with data to a year after the as-of date; is_as_of marks the day the data stands for.
with bounds as (
    select
        min(month) as first_day,
        {{ add_months(month_of(as_of_date()), 13) }} as end_day
    from {{ ref('int_months') }}
),

numbers as (
    {{ dbt.generate_series(36525) }}
),

days as (
    select {{ add_days("coalesce(bounds.first_day, " ~ month_of(as_of_date()) ~ ")", 'cast(numbers.generated_number as integer) - 1') }} as date_day, bounds.end_day
    from bounds
    cross join numbers
),

final as (
    select
        date_day,
        {{ month_of('date_day') }} as month,
        {{ quarter_of('date_day') }} as quarter,
        {{ dbt.concat([
            "'FY'",
            'cast(extract(year from ' ~ add_months('date_day', (13 - (var('fiscal_year_start_month') | int)) % 12) ~ ') as ' ~ dbt.type_string() ~ ')',
            "'-Q'",
            'cast(extract(quarter from ' ~ add_months('date_day', 1 - (var('fiscal_year_start_month') | int)) ~ ') as ' ~ dbt.type_string() ~ ')',
        ]) }} as fiscal_quarter,
        date_day = {{ add_days(add_months(month_of('date_day'), 1), -1) }} as is_month_end,
        {{ is_weekday('date_day') }} as is_business_day,
        date_day = {{ as_of_date() }} as is_as_of
    from days
    where date_day < end_day
)

select * from final
