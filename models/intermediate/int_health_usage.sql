-- Grain: customer x day to be scored: entitled features and seats, and how many of them were used in the last 28 days.
with customers as (
    select * from {{ ref('int_health_accounts') }}
),

segments as (
    select * from {{ ref('int_subscription_segments') }}
),

plan_features as (
    select * from {{ ref('stg_product__plan_features') }}
),

features as (
    select * from {{ ref('stg_product__features') }}
),

account_ids as (
    select * from {{ ref('stg_crm__account_ids') }}
),

holdings as (
    select customers.account_id, customers.score_date, segments.plan_id, sum(segments.quantity) as quantity
    from customers
    inner join segments
        on
            customers.account_id = segments.account_id
            and customers.score_date >= segments.valid_from
            and customers.score_date < segments.valid_to
    group by customers.account_id, customers.score_date, segments.plan_id
),

seats as (
    select account_id, score_date, max(quantity) as n_seats from holdings group by account_id, score_date
),

entitled as (
    select distinct holdings.account_id, holdings.score_date, plan_features.feature_key
    from holdings
    inner join plan_features
        on
            holdings.plan_id = plan_features.plan_id
            and holdings.score_date >= plan_features.valid_from
            and (plan_features.valid_to is null or holdings.score_date < plan_features.valid_to)
    inner join features
        on
            plan_features.feature_key = features.feature_key
            and holdings.score_date >= features.released_on
            and (features.retired_on is null or holdings.score_date < features.retired_on)
),

used_features as (
    select distinct customers.account_id, customers.score_date, usage.feature_key
    from customers
    inner join account_ids on customers.account_id = account_ids.account_id
    inner join {{ ref('int_usage_feature_months') }} as usage
        on
            account_ids.source_account_id = usage.source_account_id
            and usage.month >= {{ month_of(add_days('customers.score_date', -27)) }}
            and usage.month <= {{ month_of('customers.score_date') }}
    where (usage.day_mask & {{ recent_bits('usage.month', 'customers.score_date', 28) }}) <> 0
),

active_users as (
    select customers.account_id, customers.score_date, count(distinct usage.user_id) as n_active_users
    from customers
    inner join account_ids on customers.account_id = account_ids.account_id
    inner join {{ ref('int_usage_user_months') }} as usage
        on
            account_ids.source_account_id = usage.source_account_id
            and usage.month >= {{ month_of(add_days('customers.score_date', -27)) }}
            and usage.month <= {{ month_of('customers.score_date') }}
    where (usage.day_mask & {{ recent_bits('usage.month', 'customers.score_date', 28) }}) <> 0
    group by customers.account_id, customers.score_date
),

feature_counts as (
    select
        entitled.account_id,
        entitled.score_date,
        count(*) as n_entitled,
        count(used_features.feature_key) as n_used
    from entitled
    left join used_features
        on
            entitled.account_id = used_features.account_id
            and entitled.score_date = used_features.score_date
            and entitled.feature_key = used_features.feature_key
    group by entitled.account_id, entitled.score_date
),

-- usage says something only from the day the product's events begin
first_events as (
    select min(month) as first_month from {{ ref('int_usage_user_months') }} where n_events > 0
),

final as (
    select
        customers.account_id,
        customers.score_date,
        feature_counts.n_entitled,
        feature_counts.n_used,
        seats.n_seats,
        coalesce(active_users.n_active_users, 0) as n_active_users,
        coalesce(first_events.first_month <= customers.score_date, false) as has_events
    from customers
    cross join first_events
    left join seats on customers.account_id = seats.account_id and customers.score_date = seats.score_date
    left join feature_counts
        on customers.account_id = feature_counts.account_id and customers.score_date = feature_counts.score_date
    left join active_users
        on customers.account_id = active_users.account_id and customers.score_date = active_users.score_date
)

select * from final
