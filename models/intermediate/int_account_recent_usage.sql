-- Grain: account with any product event: its active days in the 28 days that end with the as-of day.
with events as (
    select * from {{ ref('stg_product__events') }}
    where account_id is not null
),

final as (
    select
        account_id,
        count(distinct case when occurred_on > {{ add_days(as_of_date(), -28) }} then occurred_on end) as active_days_28d
    from events
    group by account_id
)

select * from final
