-- Grain: expansion of the ledger, or customer that a month opened with, each on its day; a quarter opens with its first month.
{{ config(materialized='view') }}
with movements as (
    select * from {{ ref('int_mrr_movements') }}
    where movement_type = 'expansion'
),

account_months as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month' and opening_state <> 'gone'
),

final as (
    select account_id, movement_date as happened_on, movement_subtype, amount, 0 as is_opening_customer from movements
    union all
    select
        account_id,
        period_start as happened_on,
        cast(null as {{ dbt.type_string() }}) as movement_subtype,
        {{ exact(0) }} as amount,
        1 as is_opening_customer
    from account_months
)

select * from final
