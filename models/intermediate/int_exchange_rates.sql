-- Grain: currency x [valid_from, valid_to): units of the reporting currency for one unit; the last rate on or before a day holds.
{%- set reporting = "'" ~ var('reporting_currency') ~ "'" %}
with rates as (
    select * from {{ ref('stg_finance__exchange_rates') }}
),

direct as (
    select from_currency as currency, rate_date, cast(rate as double) as rate
    from rates
    where to_currency = {{ reporting }} and from_currency <> {{ reporting }}
),

-- a currency that is only quoted the other way round is turned over
inverse as (
    select to_currency as currency, rate_date, 1 / nullif(cast(rate as double), 0) as rate
    from rates
    where
        from_currency = {{ reporting }}
        and to_currency <> {{ reporting }}
        and to_currency not in (select currency from direct)
),

quoted as (
    select currency, rate_date, rate from direct
    union all
    select currency, rate_date, rate from inverse
),

final as (
    select
        currency,
        rate_date as valid_from,
        coalesce(lead(rate_date) over (partition by currency order by rate_date), {{ far_future() }}) as valid_to,
        rate
    from quoted
    union all
    select {{ reporting }} as currency, {{ beginning() }} as valid_from, {{ far_future() }} as valid_to, 1.0 as rate
)

select * from final
