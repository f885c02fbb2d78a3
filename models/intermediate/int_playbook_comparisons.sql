-- Grain: measured run, with the mean change of the accounts that it is compared with (account_id NULL); and playbook x quarter x segment x account
-- that was compared at all (action_id NULL). One pass over the pairs, of which there are too many to keep (decision log, D53).
with changes as (
    select * from {{ ref('int_account_kpi_changes') }}
),

measured as (
    select action_id from {{ ref('int_playbook_changes') }}
),

all_runs as (
    select *, coalesce(closed_on, {{ far_future() }}) as open_until
    from {{ ref('int_playbook_runs') }}
    where account_id is not null
),

states as (
    select * from {{ ref('int_account_states') }}
    where state <> 'gone'
),

colours as (
    select * from {{ ref('int_account_colours') }}
),

runs as (
    select all_runs.* from all_runs
    inner join measured on all_runs.action_id = measured.action_id
),

-- alike when the run began: the colour at its end may be its work
alike as (
    select runs.*, colours.account_id as peer_id
    from runs
    inner join colours
        on
            runs.segment = colours.segment
            and runs.colour = colours.colour
            and runs.opened_on >= colours.valid_from
            and runs.opened_on < colours.valid_to
),

pairs as (
    select
        alike.action_id,
        alike.playbook_name,
        alike.quarter,
        alike.segment,
        alike.peer_id as account_id,
        changes.mean_after - changes.mean_before as change
    from alike
    inner join changes
        on
            alike.peer_id = changes.account_id
            and alike.target_kpi = changes.kpi_id
            and alike.closed_on >= changes.valid_from
            and alike.closed_on < changes.valid_to
    inner join states
        on
            alike.peer_id = states.account_id
            and alike.closed_on >= states.valid_from
            and alike.closed_on < states.valid_to
    left join all_runs
        on
            alike.peer_id = all_runs.account_id
            and alike.playbook_name = all_runs.playbook_name
            and all_runs.opened_on < {{ add_days('alike.closed_on', 90) }}
            and all_runs.open_until > {{ add_days('alike.closed_on', -90) }}
    where all_runs.action_id is null
),

final as (
    select
        action_id,
        playbook_name,
        quarter,
        segment,
        account_id,
        {{ exact_mean('change') }} as mean_change
    from pairs
    group by grouping sets ((action_id), (playbook_name, quarter, segment, account_id))
)

select * from final
