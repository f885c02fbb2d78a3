-- Grain: observed run x account that it was for (every customer of its closing day, for one without account): its KPI before and after closing.
with runs as (
    select * from {{ ref('int_playbook_runs') }}
    where is_observed and target_kpi is not null
),

states as (
    select * from {{ ref('int_account_states') }}
    where state <> 'gone'
),

changes as (
    select * from {{ ref('int_account_kpi_changes') }}
),

treated as (
    select action_id, account_id, closed_on, target_kpi
    from runs
    where account_id is not null
    union all
    select runs.action_id, states.account_id, runs.closed_on, runs.target_kpi
    from runs
    inner join states on runs.closed_on >= states.valid_from and runs.closed_on < states.valid_to
    where runs.account_id is null
),

final as (
    select
        treated.action_id,
        treated.account_id,
        changes.mean_before,
        changes.mean_after
    from treated
    inner join changes
        on
            treated.account_id = changes.account_id
            and treated.target_kpi = changes.kpi_id
            and treated.closed_on >= changes.valid_from
            and treated.closed_on < changes.valid_to
)

select * from final
