-- Grain: account with any product event: its active days in the 28 days that end with the as-of day.
with usage_months as (
    select * from {{ ref('int_account_usage_months') }}
    where account_id is not null
),

masked as (
    select
        account_id,
        case
            when month >= {{ month_of(add_days(as_of_date(), -27)) }} then day_mask & {{ recent_bits('month', as_of_date(), 28) }}
            else 0
        end as recent_mask
    from usage_months
),

final as (
    select account_id, cast(sum({{ bits_counted('recent_mask') }}) as bigint) as active_days_28d
    from masked
    group by account_id
)

select * from final
