-- Grain: observation of a KPI on one account on one day; only KPIs that one account can have (decision log, D53).
with scores as (
    select * from {{ ref('fct_health_scores') }}
    where score is not null
),

adoption_months as (
    select * from {{ ref('fct_account_adoption_months') }}
    where adoption_rate is not null
),

usage_months as (
    select * from {{ ref('int_account_usage_months') }}
    where account_id is not null
),

answers as (
    select * from {{ ref('int_survey_answers') }}
    where is_eligible and account_id is not null
),

tickets as (
    select * from {{ ref('int_tickets_judged') }}
    where fcr_status in ('first_contact', 'not_first_contact') and account_id is not null
),

observed as (
    select account_id, 'customer_health_score' as kpi_id, score_date as observed_on, score as observed_value from scores
    union all
    select account_id, 'product_adoption_rate', {{ add_days(add_months('month', 1), -1) }}, adoption_rate from adoption_months
    union all
    select
        account_id,
        'usage_frequency',
        {{ add_days(add_months('month', 1), -1) }},
        {{ ratio('active_user_days', 'monthly_active_users') }}
    from usage_months
    union all
    select
        account_id,
        'net_promoter_score',
        responded_on,
        case nps_category when 'promoter' then 100 when 'passive' then 0 when 'detractor' then -100 end
    from answers
    where survey_type = 'nps'
    union all
    select account_id, 'customer_satisfaction_score', responded_on, case when is_positive then 1 else 0 end
    from answers
    where survey_type = 'csat'
    union all
    select account_id, 'customer_effort_score', responded_on, 100 * score_share
    from answers
    where survey_type = 'ces'
    union all
    select
        account_id,
        'first_contact_resolution_rate',
        first_solved_on,
        case when fcr_status = 'first_contact' then 1 else 0 end
    from tickets
),

final as (
    select account_id, kpi_id, observed_on, cast(observed_value as double) as observed_value
    from observed
    -- the month of as_of is not over: its end lies ahead
    where observed_on <= {{ as_of_date() }}
)

select * from final
