-- Grain: satisfied customer that could speak for us, as of the run (decision log, D111).
with overviews as (
    select * from {{ ref('int_account_overviews') }}
    where is_customer and cancel_requested_on is null and health_colour = 'green' and last_nps >= 9
),

lifetimes as (
    select * from {{ ref('fct_account_lifetime_values') }}
),

advocacy as (
    select
        account_id,
        max(case when status = 'completed' then completed_on end) as last_advocacy_on,
        max(greatest(coalesce(requested_on, completed_on), coalesce(completed_on, requested_on))) as last_asked_on
    from {{ ref('stg_cs__advocacy') }}
    group by account_id
),

final as (
    select
        overviews.account_id,
        {{ as_of_date() }} as as_of,
        overviews.csm_user_id,
        overviews.health_score,
        cast(overviews.last_nps as integer) as last_nps,
        lifetimes.clv_decile,
        advocacy.last_advocacy_on,
        {{ dbt.concat([
            "'NPS '", as_count('overviews.last_nps'), "', health '", as_count('round(overviews.health_score)'),
            "case when lifetimes.clv_decile <= 2 then ', among the most valuable fifth' else '' end",
            "case when advocacy.last_advocacy_on is not null then ', has spoken for us before' else '' end",
        ]) }} as reason
    from overviews
    left join lifetimes on overviews.account_id = lifetimes.account_id
    left join advocacy on overviews.account_id = advocacy.account_id
    where
        overviews.last_nps_on > {{ add_days(as_of_date(), -365) }}
        and (advocacy.last_asked_on is null or advocacy.last_asked_on <= {{ add_days(as_of_date(), -90) }})
)

select * from final
