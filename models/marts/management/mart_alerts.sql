-- Grain: alert; kept from night to night, cleared when its condition has ended (decision log, D108).
{%- set no_text = 'cast(null as ' ~ dbt.type_string() ~ ')' %}
with rules as (
    select * from {{ ref('alert_rules') }}
),

catalog as (
    select * from {{ ref('kpi_catalog') }}
),

known as (
    select 'account' as subject_type, account_id as subject_id from {{ ref('int_accounts') }}
    union all
    select 'term', term_id from {{ ref('int_renewal_terms') }}
    union all
    select 'response', response_id from {{ ref('int_survey_answers') }}
),

-- what was said about an account that is internal or merged away by now, its terms and its answers goes with it
published as (
    select alerts.*, case when alerts.cleared_on <= {{ as_of_date() }} then alerts.cleared_on end as known_cleared_on
    from {{ source('history', 'mart_alerts') }} as alerts
    left join known on alerts.subject_type = known.subject_type and alerts.subject_id = known.subject_id
    where
        alerts.raised_on <= {{ as_of_date() }}
        and (known.subject_id is not null or alerts.subject_type not in ('account', 'term', 'response'))
),

actions as (
    select action_id, trigger_ref, row_number() over (partition by trigger_ref order by opened_at desc, action_id desc) as recency
    from {{ ref('stg_cs__actions') }}
    where trigger_ref is not null
),

{%- set columns = 'alert_type, kpi_id, subject_id, period_start, value, previous, threshold, unit' %}

conditions as (
    select {{ columns }}, segment_type, segment_value, {{ no_text }} as subject_name from {{ ref('int_alerts_of_flags') }}
    union all
    select {{ columns }}, segment_type, segment_value, {{ no_text }} from {{ ref('int_alerts_of_values') }}
    union all
    select {{ columns }}, {{ no_text }}, {{ no_text }}, subject_name from {{ ref('int_alerts_of_today') }}
),

-- what lasts from day to day stays the alert that was raised first
standing as (
    select rules.alert_type, published.subject_id, max(published.alert_id) as alert_id
    from published
    inner join rules on published.alert_type = rules.alert_type and rules.period_type = 'day'
    where published.known_cleared_on is null
    group by rules.alert_type, published.subject_id
),

tonight as (
    select
        coalesce(
            standing.alert_id,
            {{ dbt.hash(dbt.concat([
                'conditions.alert_type', "'|'", "coalesce(conditions.kpi_id, '')", "'|'", 'conditions.subject_id', "'|'",
                as_text('conditions.period_start'),
            ])) }}
        ) as alert_id,
        conditions.*,
        rules.severity, rules.subject_type, rules.message,
        catalog.kpi_name,
        case
            when conditions.subject_name is not null then conditions.subject_name
            when conditions.segment_type = 'all' then 'all customers'
            -- people by id: their names are published in dim_csms and the scorecards only
            else conditions.segment_value
        end as subject
    from conditions
    inner join rules on conditions.alert_type = rules.alert_type
    left join catalog on conditions.kpi_id = catalog.kpi_id
    left join standing on conditions.alert_type = standing.alert_type and conditions.subject_id = standing.subject_id
),

{%- set fillings = [
    ('{subject}', 'tonight.subject'),
    ('{kpi}', "coalesce(tonight.kpi_name, '')"),
    ('{value}', 'coalesce(' ~ as_said('tonight.value', 'tonight.unit') ~ ", 'unknown')"),
    ('{previous}', 'coalesce(' ~ as_said('tonight.previous', 'tonight.unit') ~ ", 'unknown')"),
    ('{threshold}', 'coalesce(' ~ limit_said('tonight.threshold', 'tonight.unit') ~ ", 'none')"),
] %}

kept as (
    select
        tonight.alert_id,
        coalesce(published.raised_on, {{ as_of_date() }}) as raised_on,
        tonight.alert_type,
        tonight.severity,
        tonight.kpi_id,
        tonight.subject_type,
        tonight.subject_id,
        {{ filled('tonight.message', fillings) }} as message,
        tonight.value,
        tonight.threshold,
        cast(null as date) as cleared_on
    from tonight
    left join published on tonight.alert_id = published.alert_id
    union all
    select
        published.alert_id, published.raised_on, published.alert_type, published.severity, published.kpi_id, published.subject_type,
        published.subject_id, published.message, published.value, published.threshold,
        coalesce(published.known_cleared_on, {{ as_of_date() }}) as cleared_on
    from published
    left join tonight on published.alert_id = tonight.alert_id
    where tonight.alert_id is null
),

final as (
    select kept.*, coalesce(by_alert.action_id, by_subject.action_id) as action_id
    from kept
    left join actions as by_alert on kept.alert_id = by_alert.trigger_ref and by_alert.recency = 1
    left join actions as by_subject
        on case when kept.subject_type = 'response' then kept.subject_id end = by_subject.trigger_ref and by_subject.recency = 1
)

select * from final
