-- Grain: raw table: how old it is at the end of the as-of date, what was refused, what found no account (decision log, D109).
with landed as (
    select * from {{ ref('int_landed_tables') }}
),

load_log as (
    select * from {{ source('ops', 'load_log') }}
),

-- a night that finds only files that it knows is logged, too
newest as (
    select max(loaded_at) as loaded_at from load_log
    where loaded_rows > 0
),

last_runs as (
    select distinct load_log.run_id
    from load_log
    inner join newest on load_log.loaded_at = newest.loaded_at
),

loads as (
    select load_log.table_name, sum(load_log.loaded_rows) as n_rows
    from load_log
    inner join last_runs on load_log.run_id = last_runs.run_id
    group by load_log.table_name
),

refused as (
    select table_name, count(*) as n_rows from {{ source('ops', 'quarantine') }}
    where status = 'open'
    group by table_name
),

rules as (
    select * from {{ ref('alert_rules') }}
    where alert_type = 'source_stale'
),

own_limits as (
    select * from {{ ref('source_freshness') }}
),

-- listed without a limit: the table may rest; not listed: the limit of the rule
limited as (
    select
        landed.*,
        case when own_limits.source_table is null then rules.threshold else own_limits.limit_hours end as limit_hours
    from landed
    left join own_limits on landed.source_table = own_limits.source_table
    left join rules on own_limits.source_table is null
),

aged as (
    select
        limited.*,
        case
            when last_loaded_at is null then null
            when limit_hours is null then 0
            else greatest({{ hours_between('last_loaded_at', end_of_as_of()) }} - limit_hours, 0)
        end as hours_late
    from limited
),

final as (
    select
        aged.source_table,
        aged.last_loaded_at,
        cast(coalesce(loads.n_rows, 0) as bigint) as rows_last_run,
        aged.rows_total,
        aged.limit_hours,
        cast(aged.hours_late as double) as hours_late,
        coalesce(aged.hours_late > 0, false) as is_stale,
        coalesce(refused.n_rows, 0) as rejected_rows,
        cast(aged.unmatched_account_rows as bigint) as unmatched_account_rows
    from aged
    left join loads on aged.source_table = loads.table_name
    left join refused on aged.source_table = refused.table_name
)

select * from final
