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
    select balances.account_id, balances.currency, boundaries.boundary_date, balances.mrr, rates.rate
    from balances
    inner join boundaries
        on balances.valid_from <= boundaries.boundary_date and balances.valid_to > boundaries.boundary_date
    left join rates on balances.currency = rates.currency and boundaries.boundary_date = rates.boundary_date
),

opening as (
    select
        periods.period_type,
        periods.period_start,
        balances_on.account_id,
        sum({{ convert('balances_on.mrr', 'balances_on.rate') }}) as opening_mrr
    from periods
    inner join balances_on on periods.opening_date = balances_on.boundary_date
    group by periods.period_type, periods.period_start, balances_on.account_id
),

closing as (
    select
        periods.period_type,
        periods.period_start,
        balances_on.account_id,
        sum({{ convert('balances_on.mrr', 'balances_on.rate') }}) as closing_mrr,
        sum({{ convert('balances_on.mrr', 'opening_rates.rate') }}) as closing_mrr_at_opening_rates
    from periods
    inner join balances_on on periods.closing_date = balances_on.boundary_date
    left join rates as opening_rates
        on balances_on.currency = opening_rates.currency and periods.opening_date = opening_rates.boundary_date
    group by periods.period_type, periods.period_start, balances_on.account_id
),

{%- for side in ['opening', 'closing'] %}

{{ side }}_states as (
    select periods.period_type, periods.period_start, states_on.account_id, states_on.state
    from periods
    inner join states_on on periods.{{ side }}_date = states_on.boundary_date
),
{%- endfor %}

sides as (
    select
        coalesce(opening_states.account_id, closing_states.account_id) as account_id,
        coalesce(opening_states.period_type, closing_states.period_type) as period_type,
        coalesce(opening_states.period_start, closing_states.period_start) as period_start,
        coalesce(opening_states.state, 'gone') as opening_state,
        coalesce(closing_states.state, 'gone') as closing_state
    from opening_states
    full outer join closing_states
        on
            opening_states.period_type = closing_states.period_type
            and opening_states.period_start = closing_states.period_start
            and opening_states.account_id = closing_states.account_id
),

final as (
    select
        sides.*,
        periods.opening_date,
        periods.closing_date,
        {{ exact("case when sides.opening_state = 'paying' then opening.opening_mrr else 0 end") }} as opening_mrr,
        {{ exact("case when sides.closing_state = 'paying' then closing.closing_mrr else 0 end") }} as closing_mrr,
        -- comparable with the opening balance only where there is one
        {{ exact("case when sides.opening_state <> 'paying' or sides.closing_state <> 'paying' then 0 else closing.closing_mrr_at_opening_rates end") }}
            as closing_mrr_at_opening_rates
    from sides
    inner join periods on sides.period_type = periods.period_type and sides.period_start = periods.period_start
    {%- for side in ['opening', 'closing'] %}
    left join {{ side }}
        on
            sides.period_type = {{ side }}.period_type
            and sides.period_start = {{ side }}.period_start
            and sides.account_id = {{ side }}.account_id
    {%- endfor %}
)

select * from final
