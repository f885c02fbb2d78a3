-- Grain: customer x reason to do something about it now (decision log, D107).
{%- set days_untouched = days_between('coalesce(overviews.last_touch_on, overviews.customer_since)', as_of_date()) %}
with overviews as (
    select * from {{ ref('int_account_overviews') }}
    where is_customer
),

detractors as (
    select account_id, min(responded_on) as waiting_since from {{ ref('int_detractors_waiting') }} group by account_id
),

champions as (
    select * from {{ ref('int_champions_gone') }}
),

-- a company that does not record its contacts would have touched nobody
recording as (
    select count(*) as n_touches from {{ ref('int_activities_weighed') }} where is_touchpoint
),

final as (
    select
        account_id,
        'cancel_requested' as reason,
        {{ dbt.concat(["'asked to cancel on '", as_text('cancel_requested_on')]) }} as reason_text
    from overviews
    where cancel_requested_on is not null
    union all
    select account_id, 'turned_red' as reason, 'health turned red' as reason_text
    from overviews
    where is_turned_red
    union all
    select overviews.account_id, 'champion_gone' as reason, 'champion gone' as reason_text
    from overviews
    inner join champions on overviews.account_id = champions.account_id
    union all
    select
        account_id,
        'renewal_due' as reason,
        {{ dbt.concat(["'renewal due on '", as_text('next_renewal_on')]) }} as reason_text
    from overviews
    where next_renewal_on <= {{ add_days(as_of_date(), 90) }}
    union all
    select
        overviews.account_id,
        'detractor_unanswered' as reason,
        {{ dbt.concat(["'detractor waiting since '", as_text('detractors.waiting_since')]) }} as reason_text
    from overviews
    inner join detractors on overviews.account_id = detractors.account_id
    union all
    select
        overviews.account_id,
        'no_touch' as reason,
        {{ dbt.concat(["'no touch for '", as_count(days_untouched), "' days'"]) }} as reason_text
    from overviews
    cross join recording
    where recording.n_touches > 0 and {{ days_untouched }} >= 60
)

select * from final
