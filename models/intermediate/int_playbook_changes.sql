-- Grain: observed run x account, treated by it or compared with it: mean of the target KPI 90 days before and after closing (decision log, D53).
with runs as (
    select * from {{ ref('int_playbook_runs') }}
    where is_observed and target_kpi is not null
),

all_runs as (
    select * from {{ ref('int_playbook_runs') }}
    where account_id is not null
),

states as (
    select * from {{ ref('int_account_states') }}
    where state <> 'gone'
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

colours as (
    select * from {{ ref('int_account_colours') }}
),

observations as (
    select * from {{ ref('int_account_kpi_observations') }}
),

spans as (
    select distinct opened_on, closed_on from runs
),

-- alike when the run began: the colour at its end may be its work
customers as (
    select
        spans.opened_on,
        spans.closed_on,
        states.account_id,
        accounts.segment,
        coalesce(colours.colour, 'unknown') as colour
    from spans
    inner join states on spans.closed_on >= states.valid_from and spans.closed_on < states.valid_to
    inner join accounts on states.account_id = accounts.account_id
    left join colours
        on
            states.account_id = colours.account_id
            and spans.opened_on >= colours.valid_from
            and spans.opened_on < colours.valid_to
),

members as (
    select action_id, account_id, closed_on, target_kpi, true as is_treated
    from runs
    where account_id is not null
    union all
    select runs.action_id, customers.account_id, runs.closed_on, runs.target_kpi, true as is_treated
    from runs
    inner join customers on runs.opened_on = customers.opened_on and runs.closed_on = customers.closed_on
    where runs.account_id is null
    union all
    select runs.action_id, customers.account_id, runs.closed_on, runs.target_kpi, false as is_treated
    from runs
    inner join customers
        on
            runs.opened_on = customers.opened_on
            and runs.closed_on = customers.closed_on
            and runs.segment = customers.segment
            and runs.colour = customers.colour
    left join all_runs
        on
            customers.account_id = all_runs.account_id
            and runs.playbook_name = all_runs.playbook_name
            and all_runs.opened_on < {{ add_days('runs.closed_on', 90) }}
            and (all_runs.closed_on is null or all_runs.closed_on >= {{ add_days('runs.closed_on', -90) }})
    where all_runs.action_id is null
),

-- an account compared with several runs of a day is averaged once
windows as (
    select distinct account_id, closed_on, target_kpi from members
),

averaged as (
    select
        windows.account_id,
        windows.closed_on,
        windows.target_kpi,
        avg(case when observations.observed_on < windows.closed_on then observations.observed_value end) as mean_before,
        avg(case when observations.observed_on >= windows.closed_on then observations.observed_value end) as mean_after
    from windows
    inner join observations
        on
            windows.account_id = observations.account_id
            and windows.target_kpi = observations.kpi_id
            and observations.observed_on >= {{ add_days('windows.closed_on', -90) }}
            and observations.observed_on < {{ add_days('windows.closed_on', 90) }}
    group by windows.account_id, windows.closed_on, windows.target_kpi
),

final as (
    select
        members.action_id,
        members.account_id,
        members.is_treated,
        averaged.mean_before,
        averaged.mean_after
    from members
    inner join averaged
        on
            members.account_id = averaged.account_id
            and members.closed_on = averaged.closed_on
            and members.target_kpi = averaged.target_kpi
    where averaged.mean_before is not null and averaged.mean_after is not null
)

select * from final
