-- Grain: customer x day to be scored: entitled features and seats, and how many of them were used in their windows.
with days as (
    select * from {{ ref('int_health_days') }}
),

customers as (
    select * from {{ ref('int_health_accounts') }}
),

pieces as (
    select * from {{ ref('int_subscription_pieces') }}
    where not is_paused
),

plan_features as (
    select * from {{ ref('int_plan_features') }}
),

account_ids as (
    select * from {{ ref('stg_crm__account_ids') }}
),

holdings as (
    select
        customers.account_id, customers.score_date, pieces.plan_id,
        sum(case when pieces.mrr <> 0 then pieces.quantity else 0 end) as quantity
    from customers
    inner join pieces
        on
            customers.account_id = pieces.account_id
            and customers.score_date >= pieces.valid_from
            and customers.score_date < pieces.valid_to
    group by customers.account_id, customers.score_date, pieces.plan_id
),

spans as (
    select distinct component, window_days from {{ ref('health_component_rules') }} where component in ('adoption', 'usage')
),

seats as (
    select account_id, score_date, nullif(max(quantity), 0) as n_seats from holdings group by account_id, score_date
),

entitled as (
    select distinct holdings.account_id, holdings.score_date, plan_features.feature_key
    from holdings
    inner join plan_features
        on
            holdings.plan_id = plan_features.plan_id
            and holdings.score_date >= plan_features.valid_from
            and holdings.score_date < plan_features.valid_to
),

-- few days: the months that a window reaches into are found before they meet the accounts
day_months as (
    select
        spans.component, days.score_date, months.month,
        {{ recent_bits('months.month', 'days.score_date', 'spans.window_days') }} as recent_days
    from days
    cross join spans
    inner join {{ ref('int_months') }} as months
        on
            days.score_date >= months.month
            and {{ month_of(add_days('days.score_date', '1 - spans.window_days')) }} <= months.month
),

windows as (
    select
        account_ids.source_account_id, customers.account_id, customers.score_date,
        day_months.component, day_months.month, day_months.recent_days
    from customers
    inner join account_ids on customers.account_id = account_ids.account_id
    inner join day_months on customers.score_date = day_months.score_date
),

used_features as (
    select distinct windows.account_id, windows.score_date, usage.feature_key
    from windows
    inner join {{ ref('int_usage_feature_months') }} as usage
        on windows.source_account_id = usage.source_account_id and windows.month = usage.month
    where windows.component = 'adoption' and (usage.day_mask & windows.recent_days) <> 0
),

active_users as (
    select windows.account_id, windows.score_date, count(distinct usage.user_id) as n_active_users
    from windows
    inner join {{ ref('int_usage_user_months') }} as usage
        on windows.source_account_id = usage.source_account_id and windows.month = usage.month
    where windows.component = 'usage' and (usage.day_mask & windows.recent_days) <> 0
    group by windows.account_id, windows.score_date
),

feature_counts as (
    select entitled.account_id, entitled.score_date, count(*) as n_entitled, count(used_features.feature_key) as n_used
    from entitled
    left join used_features
        on
            entitled.account_id = used_features.account_id
            and entitled.score_date = used_features.score_date
            and entitled.feature_key = used_features.feature_key
    group by entitled.account_id, entitled.score_date
),

final as (
    select
        customers.account_id,
        customers.score_date,
        feature_counts.n_entitled,
        feature_counts.n_used,
        seats.n_seats,
        coalesce(active_users.n_active_users, 0) as n_active_users
    from customers
    left join seats on customers.account_id = seats.account_id and customers.score_date = seats.score_date
    left join feature_counts
        on customers.account_id = feature_counts.account_id and customers.score_date = feature_counts.score_date
    left join active_users
        on customers.account_id = active_users.account_id and customers.score_date = active_users.score_date
)

select * from final
