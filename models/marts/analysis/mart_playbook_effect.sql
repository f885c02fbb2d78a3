-- Grain: playbook or improvement x fiscal quarter of opening x segment ('all' too). Difference in differences (decision log, D53).
with runs as (
    select * from {{ ref('int_playbook_runs') }}
),

changes as (
    select * from {{ ref('int_playbook_changes') }}
),

peers as (
    select * from {{ ref('int_playbook_comparisons') }}
),

-- every run stands in 'all', one with an account in its segment too
placed as (
    select 'all' as segment_value, runs.* from runs
    union all
    select segment as segment_value, runs.* from runs
    where segment is not null
),

counted as (
    select
        playbook_name,
        quarter,
        segment_value,
        max(target_kpi) as target_kpi,
        count(*) as n_runs,
        sum(case when closed_on is not null then 1 else 0 end) as n_closed,
        {{ ratio(
            'sum(case when closed_on <= due_on then 1 else 0 end)',
            'sum(case when closed_on is not null and due_on is not null then 1 else 0 end)'
        ) }} as on_time_rate
    from placed
    group by playbook_name, quarter, segment_value
),

effects as (
    select
        placed.playbook_name,
        placed.quarter,
        placed.segment_value,
        count(*) as n_measured,
        {{ exact_mean("treated.mean_before") }} as mean_before,
        {{ exact_mean("treated.mean_after") }} as mean_after,
        {{ exact_mean("peers.mean_change") }} as mean_change_comparison
    from placed
    inner join changes as treated on placed.action_id = treated.action_id
    left join peers on placed.action_id = peers.action_id
    group by placed.playbook_name, placed.quarter, placed.segment_value
),

-- an account has one segment
compared as (
    select playbook_name, quarter, segment as segment_value, count(*) as n_comparison
    from peers
    where account_id is not null
    group by playbook_name, quarter, segment
    union all
    select playbook_name, quarter, 'all' as segment_value, count(*) as n_comparison
    from peers
    where account_id is not null
    group by playbook_name, quarter
),

final as (
    select
        counted.playbook_name,
        counted.quarter,
        counted.segment_value,
        cast(counted.n_runs as bigint) as n_runs,
        cast(counted.n_closed as bigint) as n_closed,
        counted.on_time_rate,
        counted.target_kpi,
        effects.mean_before,
        effects.mean_after,
        effects.mean_after - effects.mean_before as mean_change,
        effects.mean_change_comparison,
        cast(coalesce(compared.n_comparison, 0) as bigint) as n_comparison,
        coalesce(effects.n_measured, 0) < 10 or coalesce(compared.n_comparison, 0) < 10 as is_low_confidence,
        cast(coalesce(effects.n_measured, 0) as bigint) as n_measured
    from counted
    {%- for part in ['effects', 'compared'] %}
    left join {{ part }}
        on
            counted.playbook_name = {{ part }}.playbook_name
            and counted.quarter = {{ part }}.quarter
            and counted.segment_value = {{ part }}.segment_value
    {%- endfor %}
)

select * from final
