-- Grain: account with any product event: its active days in the 28 days that end with the as-of day.
with usage_months as (
    select * from {{ ref('int_account_usage_months') }}
    where account_id is not null
),

{#- the bits of the month's days that lie in the window: all from its first day on #}
masked as (
    select
        account_id,
        case
            when month > {{ add_days(as_of_date(), -28) }} then day_mask
            when {{ add_months('month', 1) }} > {{ add_days(as_of_date(), -27) }}
                then day_mask & ~({{ bit_at(days_between('month', add_days(as_of_date(), -27))) }} - 1)
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
