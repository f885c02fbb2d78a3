-- Grain: account x period with a customer at its opening or closing; balances unrounded, in the reporting currency.
with periods as (
    select * from {{ ref('int_periods') }}
),

states as (
    select * from {{ ref('int_account_states') }}
    where state <> 'gone'
),

balances as (
    select * from {{ ref('int_account_balances') }}
    where mrr <> 0
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

boundaries as (
    select opening_date as boundary_date from periods
    union
    select closing_date as boundary_date from periods
),

-- few days and currencies: a rate is found before it meets the accounts
rates as (
    select boundaries.boundary_date, exchange_rates.currency, exchange_rates.rate
    from boundaries
    inner join exchange_rates
        on exchange_rates.valid_from <= boundaries.boundary_date and exchange_rates.valid_to > boundaries.boundary_date
),

states_on as (
    select states.account_id, boundaries.boundary_date, states.state
    from states
    inner join boundaries
        on states.valid_from <= boundaries.boundary_date and states.valid_to > boundaries.boundary_date
),

balances_on as (
    select balances.account_id, boundaries.boundary_date, balances.currency, balances.mrr
    from balances
    inner join boundaries
        on balances.valid_from <= boundaries.boundary_date and balances.valid_to > boundaries.boundary_date
),

-- one row for each currency that a customer pays in, one for a customer that pays nothing
positions as (
    select states_on.*, balances_on.currency, balances_on.mrr, rates.rate
    from states_on
    left join balances_on
        on states_on.account_id = balances_on.account_id and states_on.boundary_date = balances_on.boundary_date
    left join rates on balances_on.currency = rates.currency and balances_on.boundary_date = rates.boundary_date
),

sides as (
    select
        positions.account_id,
        periods.period_type,
        periods.period_start,
        positions.state as opening_state,
        cast(null as {{ dbt.type_string() }}) as closing_state,
        {{ convert('positions.mrr', 'positions.rate') }} as opening_mrr,
        {{ exact(0) }} as closing_mrr,
        {{ exact(0) }} as closing_mrr_at_opening_rates
    from positions
    inner join periods on positions.boundary_date = periods.opening_date
    union all
    select
        positions.account_id,
        periods.period_type,
        periods.period_start,
        cast(null as {{ dbt.type_string() }}) as opening_state,
        positions.state as closing_state,
        {{ exact(0) }} as opening_mrr,
        {{ convert('positions.mrr', 'positions.rate') }} as closing_mrr,
        {{ convert('positions.mrr', 'rates.rate') }} as closing_mrr_at_opening_rates
    from positions
    inner join periods on positions.boundary_date = periods.closing_date
    left join rates on positions.currency = rates.currency and periods.opening_date = rates.boundary_date
),

both_sides as (
    select
        account_id,
        period_type,
        period_start,
        -- numbers, since DuckDB cannot spill the greatest text of a group
        {%- for side in ['opening', 'closing'] %}
        case max(case {{ side }}_state when 'paying' then 2 when 'paused' then 1 end)
            when 2 then 'paying' when 1 then 'paused' else 'gone'
        end as {{ side }}_state,
        {%- endfor %}
        {{ whole_sum('opening_mrr') }} as opening_mrr,
        {{ whole_sum('closing_mrr') }} as closing_mrr,
        {{ whole_sum('closing_mrr_at_opening_rates') }} as closing_mrr_at_opening_rates
    from sides
    group by account_id, period_type, period_start
),

final as (
    select
        both_sides.account_id,
        both_sides.period_type,
        both_sides.period_start,
        both_sides.opening_state,
        both_sides.closing_state,
        periods.opening_date,
        periods.closing_date,
        {{ exact("case when both_sides.opening_state = 'paying' then both_sides.opening_mrr else 0 end") }} as opening_mrr,
        {{ exact("case when both_sides.closing_state = 'paying' then both_sides.closing_mrr else 0 end") }} as closing_mrr,
        -- comparable with the opening balance only where there is one
        {{ exact("case when both_sides.opening_state <> 'paying' or both_sides.closing_state <> 'paying' then 0 else both_sides.closing_mrr_at_opening_rates end") }}
            as closing_mrr_at_opening_rates
    from both_sides
    inner join periods on both_sides.period_type = periods.period_type and both_sides.period_start = periods.period_start
)

select * from final
