-- Grain: alert rule x account, term, answer or raw table for which it holds at the end of the as-of date (decision log, D108).
{%- set no_number = 'cast(null as double)' %}
with rules as (
    select * from {{ ref('alert_rules') }}
),

overviews as (
    select * from {{ ref('int_account_overviews') }}
    where is_customer
),

usage as (
    select account_id, days_since_last_event
    from {{ ref('fct_account_usage_months') }}
    where month = {{ month_of(as_of_date()) }}
),

-- whoever never used it has not done so since becoming a customer
unused as (
    select
        overviews.account_id,
        overviews.account_name,
        coalesce(usage.days_since_last_event, {{ days_between('overviews.customer_since', as_of_date()) }}) as days_unused
    from overviews
    left join usage on overviews.account_id = usage.account_id
    where overviews.is_paying and exists (select 1 from usage where usage.days_since_last_event is not null)
),

terms as (
    select
        fct_renewals.*,
        {{ days_between(as_of_date(), 'fct_renewals.due_date') }} as days_until_due,
        coalesce(
            fct_renewals.days_since_last_touch, {{ days_between('overviews.customer_since', as_of_date()) }}
        ) as days_untouched
    from {{ ref('fct_renewals') }} as fct_renewals
    left join overviews on fct_renewals.account_id = overviews.account_id
    where fct_renewals.outcome = 'upcoming'
),

detractors as (
    select * from {{ ref('int_detractors_waiting') }}
),

sources as (
    select * from {{ ref('mart_freshness') }}
    where is_stale
),

-- `previous` of an untouched term: the days until it comes due, which its message says, too;
-- a threshold that is not the rule's to set: where red begins, when a follow-up is due, what a table may be late
found as (
    select 'health_drop' as alert_type, account_id as subject_id, account_name as subject_name, score_change as value,
        {{ no_number }} as previous, {{ no_number }} as threshold, 'points' as unit
    from overviews
    where score_change is not null
    union all
    select 'turned_red', account_id, account_name, health_score, {{ no_number }}, 50, 'points'
    from overviews
    where is_turned_red
    union all
    select 'dormant_14_days', account_id, account_name, cast(days_unused as double),
        {{ no_number }}, {{ no_number }}, 'days'
    from unused
    union all
    select 'dormant_30_days', account_id, account_name, cast(days_unused as double),
        {{ no_number }}, {{ no_number }}, 'days'
    from unused
    union all
    select 'renewal_at_risk', term_id, account_name, cast(days_until_due as double),
        {{ no_number }}, {{ no_number }}, 'days'
    from terms
    where coalesce(health_colour, 'unknown') in ('red', 'unknown') or cancel_requested_on is not null
    union all
    select 'no_touch_before_renewal', term_id, account_name, cast(days_untouched as double),
        cast(days_until_due as double), {{ no_number }}, 'days'
    from terms
    where
        days_until_due <= 90
        and exists (select 1 from {{ ref('int_activities_weighed') }} where is_touchpoint)
    union all
    select 'detractor_not_followed_up', detractors.response_id, overviews.account_name,
        cast(detractors.business_days as double), {{ no_number }}, 2, 'days'
    from detractors
    inner join overviews on detractors.account_id = overviews.account_id
    union all
    select 'source_stale', source_table, source_table, hours_late, {{ no_number }}, limit_hours, 'hours' from sources
),

final as (
    select
        found.alert_type,
        rules.kpi_id,
        found.subject_id,
        found.subject_name,
        {{ as_of_date() }} as period_start,
        found.value,
        found.previous,
        coalesce(found.threshold, rules.threshold) as threshold,
        found.unit
    from found
    inner join rules on found.alert_type = rules.alert_type
    where
        case
            when found.alert_type = 'health_drop' then round(found.value, 8) <= rules.threshold
            when found.alert_type in ('dormant_14_days', 'dormant_30_days', 'no_touch_before_renewal')
                then found.value >= rules.threshold
            when found.alert_type = 'renewal_at_risk' then found.value <= rules.threshold
            else true
        end
)

select * from final
