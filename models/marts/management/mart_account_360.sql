-- Grain: account, as of the run.
with overviews as (
    select * from {{ ref('int_account_overviews') }}
),

lifetimes as (
    select * from {{ ref('fct_account_lifetime_values') }}
),

csat as (
    select
        account_id,
        {{ ratio("count(case when category = 'positive' then 1 end)", 'count(*)') }} as csat_share_90d
    from {{ ref('fct_survey_responses') }}
    where survey_type = 'csat' and is_counted and responded_on > {{ add_days(as_of_date(), -90) }}
    group by account_id
),

tickets as (
    select account_id, count(distinct ticket_id) as n_open
    from {{ ref('int_tickets_open_ranges') }}
    where solved_at is null and account_id is not null
    group by account_id
),

complete_months as (
    select max(period_start) as month from {{ ref('int_periods') }} where period_type = 'month' and is_complete
),

adoption as (
    select adoption_months.account_id, adoption_months.adoption_rate
    from {{ ref('fct_account_adoption_months') }} as adoption_months
    inner join complete_months on adoption_months.month = complete_months.month
),

usage as (
    select * from {{ ref('int_account_recent_usage') }}
),

feedback as (
    select
        items.*,
        row_number() over (partition by account_id order by collected_at desc, feedback_id desc) as recency
    from {{ ref('int_feedback_items') }} as items
    where account_id is not null
),

final as (
    select
        overviews.account_id,
        overviews.account_name,
        overviews.csm_user_id,
        overviews.segment,
        overviews.lifecycle_stage,
        {{ money('overviews.mrr') }} as mrr,
        lifetimes.predicted_total_clv,
        overviews.health_score,
        overviews.health_colour,
        overviews.drivers_text,
        overviews.next_renewal_on,
        cast(overviews.last_nps as integer) as last_nps,
        overviews.last_nps_on,
        csat.csat_share_90d,
        cast(coalesce(tickets.n_open, 0) as bigint) as open_tickets,
        adoption.adoption_rate,
        coalesce(usage.active_days_28d, 0) as active_days_28d,
        overviews.last_touch_on,
        {{ dbt.concat([as_text('feedback.collected_on'), "': '", 'feedback.themes', "', '", "coalesce(feedback.sentiment_label, 'unknown')"]) }}
            as last_feedback,
        cast(overviews.n_open_actions as bigint) as open_actions
    from overviews
    left join lifetimes on overviews.account_id = lifetimes.account_id
    left join csat on overviews.account_id = csat.account_id
    left join tickets on overviews.account_id = tickets.account_id
    left join adoption on overviews.account_id = adoption.account_id
    left join usage on overviews.account_id = usage.account_id
    left join feedback on overviews.account_id = feedback.account_id and feedback.recency = 1
)

select * from final
