-- Grain: currency x [valid_from, valid_to): units of the reporting currency for one unit; the last rate on or before a day holds.
{%- set reporting = "'" ~ var('reporting_currency') ~ "'" %}
with rates as (
    select * from {{ ref('stg_finance__exchange_rates') }}
),

-- a pair quoted only the other way round is turned over; a direct quote of the same day goes first
quoted as (
    select from_currency as currency, rate_date, cast(rate as double) as rate, 1 as preference
    from rates
    where to_currency = {{ reporting }} and from_currency <> {{ reporting }}
    union all
    select to_currency as currency, rate_date, 1 / nullif(cast(rate as double), 0) as rate, 2 as preference
    from rates
    where from_currency = {{ reporting }} and to_currency <> {{ reporting }}
),

preferred as (
    select
        currency,
        rate_date,
        rate,
        row_number() over (partition by currency, rate_date order by preference) as preference_rank
    from quoted
),

final as (
    select
        currency,
        rate_date as valid_from,
        coalesce(lead(rate_date) over (partition by currency order by rate_date), {{ far_future() }}) as valid_to,
        rate
    from preferred
    where preference_rank = 1
    union all
    select {{ reporting }} as currency, {{ beginning() }} as valid_from, {{ far_future() }} as valid_to, 1.0 as rate
)

select * from final
