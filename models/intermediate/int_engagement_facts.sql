-- Grain: period x activity (by who acted), and period x owned customer at its end (by its owner) (decision log, D48).
{{ config(materialized='view') }}
with activities as (
    select * from {{ ref('int_activities_weighed') }}
),

periods as (
    select * from {{ ref('int_periods') }}
    where period_type in ('month', 'quarter')
),

customers as (
    select * from {{ ref('int_account_periods') }}
    where period_type in ('month', 'quarter') and closing_state <> 'gone'
),

owners as (
    select * from {{ ref('int_account_owners') }}
    where csm_user_id <> 'unassigned'
),

placed as (
    select periods.period_type, periods.period_start, activities.*
    from periods
    inner join activities
        on activities.occurred_on >= periods.period_start and activities.occurred_on <= periods.closing_date
),

touched as (
    select distinct period_type, period_start, account_id
    from placed
    where is_touchpoint
),

final as (
    select
        period_type,
        period_start,
        occurred_on as cut_date,
        account_id,
        user_id as credited_user_id,
        is_touchpoint,
        not is_touchpoint as is_reactive,
        counted_as,
        weight,
        is_high_value,
        false as is_owned,
        false as is_owned_and_touched
    from placed
    union all
    select
        customers.period_type,
        customers.period_start,
        customers.closing_date as cut_date,
        customers.account_id,
        owners.csm_user_id as credited_user_id,
        false as is_touchpoint,
        false as is_reactive,
        cast(null as {{ dbt.type_string() }}) as counted_as,
        0 as weight,
        false as is_high_value,
        true as is_owned,
        touched.account_id is not null as is_owned_and_touched
    from customers
    inner join owners
        on
            customers.account_id = owners.account_id
            and customers.closing_date >= owners.valid_from
            and customers.closing_date < owners.valid_to
    left join touched
        on
            customers.period_type = touched.period_type
            and customers.period_start = touched.period_start
            and customers.account_id = touched.account_id
)

select * from final
