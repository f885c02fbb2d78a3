-- Grain: account x target KPI x [valid_from, valid_to), closing days with the same means: of the 90 days before, of the 90 from it on (decision log, D53).
with observations as (
    select * from {{ ref('int_account_kpi_observations') }}
),

targets as (
    select distinct target_kpi from {{ ref('int_playbook_runs') }}
    where is_observed and target_kpi is not null
),

-- an observation enters the 90 days after a closing 89 days before it, moves to the 90 days before a closing the day after it, and leaves
moves as (
    {%- for days, after, before in [(-89, 1, 0), (1, -1, 1), (91, 0, -1)] %}
    select
        observations.account_id,
        observations.kpi_id,
        {{ add_days('observations.observed_on', days) }} as valid_from,
        {{ before }} as n_before,
        {{ before }} * observations.observed_value as sum_before,
        {{ after }} as n_after,
        {{ after }} * observations.observed_value as sum_after
    from observations
    inner join targets on observations.kpi_id = targets.target_kpi
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

daily as (
    select
        account_id,
        kpi_id,
        valid_from,
        sum(n_before) as n_before,
        sum(sum_before) as sum_before,
        sum(n_after) as n_after,
        sum(sum_after) as sum_after
    from moves
    group by account_id, kpi_id, valid_from
),

running as (
    select
        account_id,
        kpi_id,
        valid_from,
        lead(valid_from) over (partition by account_id, kpi_id order by valid_from) as valid_to,
        {%- for part in ['n_before', 'sum_before', 'n_after', 'sum_after'] %}
        sum({{ part }}) over (
            partition by account_id, kpi_id order by valid_from rows between unbounded preceding and current row
        ) as {{ part }}{{ ',' if not loop.last }}
        {%- endfor %}
    from daily
),

final as (
    select
        account_id,
        kpi_id,
        valid_from,
        valid_to,
        {{ ratio('sum_before', 'n_before') }} as mean_before,
        {{ ratio('sum_after', 'n_after') }} as mean_after
    from running
    where n_before > 0 and n_after > 0
)

select * from final
