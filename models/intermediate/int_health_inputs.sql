-- Grain: customer x day to be scored x component: its raw value (NULL = missing), in words too, and the day it stems from.
with days as (
    select * from {{ ref('int_health_days') }}
),

event_months as (
    select month, max(last_event_on) as last_event_on from {{ ref('int_account_usage_months') }} group by month
),

-- how far the product's events, anybody's, had come by a day: it is the last one of its month or of all data
newest_events as (
    select days.score_date, max(event_months.last_event_on) as newest_event_on
    from days
    inner join event_months on days.score_date >= event_months.month
    group by days.score_date
),

-- use of the product says something only from the day its events begin, and while they come: a feed that stopped is no rest
usage as (
    select
        usage.*,
        newest_events.newest_event_on,
        {{ days_between('newest_events.newest_event_on', 'usage.score_date') }} as days_since_events
    from {{ ref('int_health_usage') }} as usage
    left join newest_events on usage.score_date = newest_events.score_date
),

rules as (
    select * from {{ ref('health_component_rules') }}
),

signals as (
    select * from {{ ref('int_health_signals') }}
),

final as (
    {%- for component, part, whole, what in [
        ('adoption', 'n_used', 'n_entitled', 'features'), ('usage', 'n_active_users', 'n_seats', 'seats'),
    ] %}
    select
        account_id,
        score_date,
        '{{ component }}' as component,
        case
            when days_since_events < (select max(rules.window_days) from rules where rules.component = '{{ component }}')
                then {{ ratio(part, whole) }}
        end as raw_value,
        {{ dbt.concat([as_count(part), "' of '", as_count(whole), "' " ~ what ~ "'"]) }} as detail,
        newest_event_on as data_as_of
    from usage
    union all
    {%- endfor %}
    select
        account_id,
        score_date,
        'support_csat' as component,
        {{ ratio('n_satisfied', 'n_csat') }} as raw_value,
        {{ dbt.concat([as_count('n_satisfied'), "' of '", as_count('n_csat'), "' answers satisfied'"]) }} as detail,
        csat_on as data_as_of
    from signals
    union all
    select
        account_id,
        score_date,
        'nps' as component,
        mean_nps as raw_value,
        {{ dbt.concat([
            as_tenths('mean_nps'), "' of 10 from '", as_count('n_nps'),
            "case when n_nps = 1 then ' contact' else ' contacts' end",
        ]) }} as detail,
        nps_on as data_as_of
    from signals
    union all
    select
        account_id,
        score_date,
        'engagement' as component,
        cast(days_since_touch as double) as raw_value,
        case
            when last_touch_on is null then {{ dbt.concat(["'never touched, customer for '", as_count('days_since_touch'), "' days'"]) }}
            else {{ dbt.concat([as_count('days_since_touch'), "' days since last touch'"]) }}
        end as detail,
        coalesce(last_touch_on, customer_since) as data_as_of
    from signals
    union all
    select
        account_id,
        score_date,
        'billing' as component,
        cast(3 * has_cancel_request + 2 * is_overdue + renewed_poorly as double) as raw_value,
        {{ dbt.concat([
            "case when has_cancel_request = 1 then 'cancel request' when is_overdue = 1 then 'payment overdue' else 'poor last renewal' end",
            "case when has_cancel_request + is_overdue + renewed_poorly > 1 then ' and more' else '' end",
        ]) }} as detail,
        score_date as data_as_of
    from signals
    union all
    select
        account_id,
        score_date,
        'onboarding_progress' as component,
        case
            when has_first_value then 0
            else {{ ratio(days_between('onboarding_started_on', 'score_date'), 'target_days') }}
        end as raw_value,
        {{ dbt.concat(["'day '", as_count(days_between('onboarding_started_on', 'score_date')), "' of '", as_count('target_days')]) }} as detail,
        score_date as data_as_of
    from signals
)

select * from final
