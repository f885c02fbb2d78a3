-- Grain: run of a playbook or improvement, with the one KPI its playbook is meant to move (decision log, D53).
with actions as (
    select * from {{ ref('fct_actions') }}
    where action_type in ('playbook', 'improvement')
),

targets as (
    select action_id, lower(target_kpi) as target_kpi from {{ ref('stg_cs__actions') }}
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

colours as (
    select * from {{ ref('int_account_colours') }}
),

named as (
    select
        actions.*,
        coalesce(actions.playbook_name, actions.theme, actions.action_type) as run_name,
        targets.target_kpi
    from actions
    inner join targets on actions.action_id = targets.action_id
),

counted as (
    select run_name, target_kpi, count(*) as n_runs
    from named
    where target_kpi is not null
    group by run_name, target_kpi
),

ranked as (
    select
        counted.*,
        row_number() over (partition by run_name order by n_runs desc, target_kpi) as target_rank
    from counted
),

final as (
    select
        named.action_id,
        named.run_name as playbook_name,
        ranked.target_kpi,
        named.account_id,
        accounts.segment,
        coalesce(colours.colour, 'unknown') as colour,
        named.opened_on,
        {{ quarter_of('named.opened_on') }} as quarter,
        named.due_on,
        named.closed_on,
        named.status = 'done' and {{ add_days('named.closed_on', 89) }} <= {{ as_of_date() }} as is_observed
    from named
    left join ranked on named.run_name = ranked.run_name and ranked.target_rank = 1
    left join accounts on named.account_id = accounts.account_id
    left join colours
        on
            named.account_id = colours.account_id
            and named.opened_on >= colours.valid_from
            and named.opened_on < colours.valid_to
)

select * from final
